// The part of libsrtp 3's interface that mediasoup's worker uses, on top of libsrtp 2, which is what
// distributions package. The two differ in three ways: policies are opaque and built by setters,
// protect and unprotect read one buffer and write another, and lengths are size_t.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

// libsrtp 2's policy structure gives up its name to the opaque one of libsrtp 3.
#define srtp_policy_t srtp2_policy_t
#include <srtp2/srtp.h>
#undef srtp_policy_t

inline constexpr auto srtp_err_status_buffer_small = static_cast<srtp_err_status_t>(28);
inline constexpr auto srtp_err_status_cryptex_err = static_cast<srtp_err_status_t>(29);

namespace driftless_compat {

struct SrtpPolicy {
  srtp2_policy_t settings{};
  uint8_t key[SRTP_MAX_KEY_LEN]{};
};

// SRTCP appends its index and encryption flag (4 bytes) besides the authentication tag.
inline constexpr size_t kMaxSrtcpGrowth = SRTP_MAX_TRAILER_LEN + 4;

using SrtpTransform = srtp_err_status_t (*)(srtp_t, void*, int*);

// Runs an in-place libsrtp 2 function as libsrtp 3 does: from `in` to `out`, where `out_length`
// carries the capacity of `out` in and the number of bytes written out. `growth` is the largest
// number of bytes that the transformation can add.
inline srtp_err_status_t srtp_transform(SrtpTransform transform, srtp_t context, const uint8_t* in,
                                        size_t in_length, uint8_t* out, size_t* out_length,
                                        size_t growth) {
  if (in_length + growth > *out_length) return srtp_err_status_buffer_small;
  if (out != in) std::memmove(out, in, in_length);
  int length = static_cast<int>(in_length);
  const srtp_err_status_t status = transform(context, out, &length);
  *out_length = status == srtp_err_status_ok ? static_cast<size_t>(length) : 0;
  return status;
}

}  // namespace driftless_compat

using srtp_policy_t = driftless_compat::SrtpPolicy*;

inline srtp_err_status_t srtp_policy_create(srtp_policy_t* policy) {
  *policy = new driftless_compat::SrtpPolicy();
  return srtp_err_status_ok;
}

inline void srtp_policy_destroy(srtp_policy_t policy) { delete policy; }

inline srtp_err_status_t srtp_policy_set_ssrc(srtp_policy_t policy, srtp_ssrc_t ssrc) {
  policy->settings.ssrc = ssrc;
  return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_profile(srtp_policy_t policy, srtp_profile_t profile) {
  const auto status =
      srtp_crypto_policy_set_from_profile_for_rtp(&policy->settings.rtp, profile);
  if (status != srtp_err_status_ok) return status;
  return srtp_crypto_policy_set_from_profile_for_rtcp(&policy->settings.rtcp, profile);
}

// The worker uses no master key identifier, so the last two arguments are not looked at.
inline srtp_err_status_t srtp_policy_add_key(srtp_policy_t policy, const uint8_t* key,
                                             size_t key_length, const uint8_t* salt,
                                             size_t salt_length, const uint8_t* /*mki*/,
                                             size_t /*mki_length*/) {
  if (key_length + salt_length > sizeof(policy->key)) return srtp_err_status_bad_param;
  std::memcpy(policy->key, key, key_length);
  std::memcpy(policy->key + key_length, salt, salt_length);
  policy->settings.key = policy->key;
  return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_allow_repeat_tx(srtp_policy_t policy, bool allow) {
  policy->settings.allow_repeat_tx = allow ? 1 : 0;
  return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_window_size(srtp_policy_t policy, size_t size) {
  policy->settings.window_size = size;
  return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_stream_remove(srtp_t context, uint32_t ssrc_network_order) {
  return srtp_remove_stream(context, ssrc_network_order);
}

namespace driftless_compat {

inline srtp_err_status_t create(srtp_t* context, srtp_policy_t policy) {
  return srtp_create(context, &policy->settings);
}

inline srtp_err_status_t protect(srtp_t context, const uint8_t* in, size_t in_length, uint8_t* out,
                                 size_t* out_length, size_t /*mki_index*/) {
  return srtp_transform(srtp_protect, context, in, in_length, out, out_length,
                        SRTP_MAX_TRAILER_LEN);
}

inline srtp_err_status_t unprotect(srtp_t context, const uint8_t* in, size_t in_length,
                                   uint8_t* out, size_t* out_length) {
  return srtp_transform(srtp_unprotect, context, in, in_length, out, out_length, 0);
}

inline srtp_err_status_t protect_rtcp(srtp_t context, const uint8_t* in, size_t in_length,
                                      uint8_t* out, size_t* out_length, size_t /*mki_index*/) {
  return srtp_transform(srtp_protect_rtcp, context, in, in_length, out, out_length,
                        kMaxSrtcpGrowth);
}

inline srtp_err_status_t unprotect_rtcp(srtp_t context, const uint8_t* in, size_t in_length,
                                        uint8_t* out, size_t* out_length) {
  return srtp_transform(srtp_unprotect_rtcp, context, in, in_length, out, out_length, 0);
}

}  // namespace driftless_compat

#define srtp_create driftless_compat::create
#define srtp_protect driftless_compat::protect
#define srtp_unprotect driftless_compat::unprotect
#define srtp_protect_rtcp driftless_compat::protect_rtcp
#define srtp_unprotect_rtcp driftless_compat::unprotect_rtcp
