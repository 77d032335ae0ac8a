import type { types } from "mediasoup-client";
import type { ClientMessage, JoinReply, NewConsumer } from "../protocol.ts";

/*
 * mediasoup and mediasoup-client type the same JSON objects separately: the server's typing knows
 * header extensions that the client's does not. These functions change the type, not the value.
 */

export function clientParameters(sent: NewConsumer["rtpParameters"]): types.RtpParameters {
  return sent as types.RtpParameters;
}

export function clientCapabilities(
  sent: JoinReply["routerRtpCapabilities"],
): types.RtpCapabilities {
  return sent as types.RtpCapabilities;
}

export function serverParameters(
  own: types.RtpParameters,
): ClientMessage<"produce">["rtpParameters"] {
  return own as unknown as ClientMessage<"produce">["rtpParameters"];
}

export function serverCapabilities(
  own: types.RtpCapabilities,
): ClientMessage<"subscribe">["rtpCapabilities"] {
  return own as unknown as ClientMessage<"subscribe">["rtpCapabilities"];
}
