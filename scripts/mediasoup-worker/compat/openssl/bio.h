// Distribution builds of OpenSSL have kernel TLS on. While such a library sets up its write buffer
// it asks the BIO whether the kernel does TLS (BIO_CTRL_GET_KTLS_SEND). mediasoup's BIO callback
// (onSslBioOut in DtlsTransport.cpp) answers 1 to every control call, so OpenSSL leaves the buffer
// out and the first DTLS handshake message crashes the worker. mediasoup's own OpenSSL has no
// kernel TLS and never asks. Here those two questions are answered with 0; every other call reaches
// the original callback unchanged.
#pragma once

#include_next <openssl/bio.h>

namespace driftless_compat {

// The worker installs one callback function for all its BIOs.
inline BIO_callback_fn_ex original_bio_callback = nullptr;

inline long bio_callback_without_ktls(BIO* bio, int operation, const char* data, size_t length,
                                      int control, long argument, int result, size_t* processed) {
  const bool is_control_result = operation == (BIO_CB_CTRL | BIO_CB_RETURN);
  if (is_control_result &&
      (control == BIO_CTRL_GET_KTLS_SEND || control == BIO_CTRL_GET_KTLS_RECV)) {
    return 0;
  }
  return original_bio_callback(bio, operation, data, length, control, argument, result, processed);
}

inline void set_bio_callback(BIO* bio, BIO_callback_fn_ex callback) {
  original_bio_callback = callback;
  BIO_set_callback_ex(bio, callback == nullptr ? nullptr : bio_callback_without_ktls);
}

}  // namespace driftless_compat

#define BIO_set_callback_ex driftless_compat::set_bio_callback
