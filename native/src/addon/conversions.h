#pragma once

#include <napi.h>

#include "media/media_session.h"

namespace driftless::addon {

/// The JavaScript forms that server/engine/process/native.ts declares.
Napi::Object to_js(Napi::Env env, const OutgoingFrame& frame);         // EncodedFrame
Napi::Object to_js(Napi::Env env, const SessionEvent& event);          // NativeEvent
Napi::Object stats_to_js(Napi::Env env, const MediaSession& session);  // NativeSessionStats

}  // namespace driftless::addon
