/**
 * Camera and microphone made inside of the page, in place of getUserMedia: where a browser's fake
 * devices have one size only (Firefox), and where picture and sound must start together (flash and
 * beep). The page's own code and all of WebRTC behind the tracks are the real ones.
 */
export interface FakeDeviceOptions {
  width: number;
  height: number;
  fps: number;
  /** JPEG pictures of the clip, base64, shown in a loop. */
  frames: string[];
  /**
   * A white picture and a tone that begin together every so many frames, and last so many; without
   * it a tone of 200 ms a second.
   */
  flash: { everyFrames: number; frames: number } | null;
}

/** Runs in the page before any of its own scripts. */
export function installFakeDevices(options: FakeDeviceOptions): void {
  const { width, height, fps, frames, flash } = options;
  let audio: AudioContext | null = null;
  const clock = (): AudioContext => {
    audio ??= new AudioContext({ sampleRate: 48_000, latencyHint: "interactive" });
    return audio;
  };

  const beeps = (): MediaStreamTrack => {
    const context = clock();
    const target = context.createMediaStreamDestination();
    const gain = context.createGain();
    const tone = context.createOscillator();
    const everySeconds = flash === null ? 1 : flash.everyFrames / fps;
    const lengthSeconds = flash === null ? 0.2 : flash.frames / fps;
    gain.gain.value = 0;
    tone.frequency.value = 660;
    tone.connect(gain).connect(target);
    tone.start();
    let next = Math.ceil(context.currentTime / everySeconds + 0.1) * everySeconds;
    setInterval(() => {
      for (; next < context.currentTime + 3; next += everySeconds) {
        gain.gain.setValueAtTime(0.5, next);
        gain.gain.setValueAtTime(0, next + lengthSeconds);
      }
    }, 500);
    const [track] = target.stream.getAudioTracks();
    if (track === undefined) throw new Error("expected an audio track");
    return track;
  };

  const camera = (): MediaStreamTrack => {
    const context = clock();
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const drawing = canvas.getContext("2d", { alpha: false });
    if (drawing === null) throw new Error("expected a 2d context");
    const stream = canvas.captureStream(0);
    const [track] = stream.getVideoTracks();
    if (track === undefined) throw new Error("expected a video track");
    // Chromium has it on the track, as the specification says; Firefox on the stream.
    const source = ("requestFrame" in track ? track : stream) as CanvasCaptureMediaStreamTrack;
    const decode = (n: number): Promise<ImageBitmap> => {
      const text = atob(frames[n % frames.length] ?? "");
      const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
      return createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
    };
    // Frame n belongs to n / fps of the clock that the tone follows as well.
    let n = Math.ceil(context.currentTime * fps);
    let ahead: Promise<ImageBitmap> = decode(n);
    const show = async (): Promise<void> => {
      const picture = await ahead;
      ahead = decode(n + 1);
      if (flash !== null && n % flash.everyFrames < flash.frames) {
        drawing.fillStyle = "white";
        drawing.fillRect(0, 0, width, height);
      } else {
        drawing.drawImage(picture, 0, 0, width, height);
        if (flash !== null) {
          // Dark, so that a flash stands out in whatever the look makes of it.
          drawing.fillStyle = "rgba(0, 0, 0, 0.5)";
          drawing.fillRect(0, 0, width, height);
        }
      }
      picture.close();
      source.requestFrame();
      // Frames that are overdue are left out: a slow machine must not fall behind the tone.
      n = Math.max(n + 1, Math.ceil(context.currentTime * fps));
      setTimeout(show, Math.max(0, (n / fps - context.currentTime) * 1000));
    };
    void show();
    return track;
  };

  const opened: { video?: MediaStreamTrack; audio?: MediaStreamTrack } = {};
  Object.assign(window, { __fakeDevices: opened });
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    await clock().resume();
    const tracks: MediaStreamTrack[] = [];
    if (constraints?.video) {
      opened.video ??= camera();
      tracks.push(opened.video.clone());
    }
    if (constraints?.audio) {
      opened.audio ??= beeps();
      tracks.push(opened.audio.clone());
    }
    return new MediaStream(tracks);
  };
  navigator.mediaDevices.enumerateDevices = async () =>
    (["videoinput", "audioinput"] as const).map(
      (kind) =>
        ({
          kind,
          deviceId: `fake-${kind}`,
          groupId: "fake",
          label: `Fake ${kind}`,
          toJSON: () => ({ kind }),
        }) as MediaDeviceInfo,
    );
}
