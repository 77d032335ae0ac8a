"""Measures the exported model on a picture or clip it has not seen and draws a contact sheet.

python evaluate.py INPUT OUT.png [--frames 48] [--skip 0] [--steps 1] [--crop X Y WIDTH] [--columns 4] [--json]
INPUT: a video, or a still (which gets a slow camera move). Rows of the sheet: input, autoencoder alone, one
row for each prompt. Numbers, in dB and 0..1:
  autoencoder  PSNR of encoding and decoding alone (the first chunk, a warm-up, is left out)
  psnr         output against the procedural look that the prompt stands for, applied to the input
  structure    correlation of the Sobel magnitude of output and input
  flicker      mean absolute difference of successive frames, 0..255 (input alone: `flicker` of "input")
  effect       mean absolute difference from the answer to "natural photo", 0..255
"""
import argparse
import json
import subprocess

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw

from clips import H, W, pan_and_zoom
from dit import Ring, tokenise
from export import load_models
from styles import apply

STILL_MOVE = 64  # frames over which a still is panned
PROMPTS = dict(
    photo="natural photo", watercolour="watercolour painting on paper", oil="oil painting", pencil="pencil sketch", neon="neon night",
    anime="anime cel shading", mosaic="pixel mosaic", noir="film noir", cyberpunk="cyberpunk, magenta and cyan",
    autumn="golden autumn light", winter="frozen winter, icy blue", dusk="sunset light",
    **{"oil+autumn": "oil painting in warm autumn colours", "watercolour+dusk": "watercolour beach at dusk"},
)


def read_frames(path, count, skip, crop):
    """uint8 RGB frames [count, H, W, 3], cropped to 16:9. crop: x, y, width in source pixels, or None."""
    image = cv2.imread(path)
    if image is not None:
        x, y, width = crop or (0, 0, image.shape[1])
        image = image[y:y + max(1, width * 9 // 16), x:x + width, ::-1]
        image = cv2.resize(np.ascontiguousarray(image), (int(W * 1.15), int(H * 1.15)), interpolation=cv2.INTER_AREA)
        return pan_and_zoom(np.random.RandomState(5), image, max(count, STILL_MOVE), 0.6)[:count]
    area = f"{crop[2]}:{crop[2]}*9/16:{crop[0]}:{crop[1]}" if crop else "iw:iw*9/16:0:ih*0.1"
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-vf", f"crop={area},fps=16,scale={W}:{H}:flags=area", "-frames:v",
                          str(count + skip), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, H, W, 3)[skip:]


class Stream:
    """The engine's loop for one participant: encode a chunk, noise, denoise in `steps` steps, decode."""

    def __init__(self, models, prompt, steps=1, seed=0):
        self.spec, self.autoencoder, self.dit = models
        schedule = self.spec["schedule"]
        self.schedule, self.steps = schedule, [1000 * schedule["noiseScale"]] + schedule["steps"][1:steps]
        self.context = self.dit.encode_prompt(tokenise(prompt, self.spec["prompt"])[None])[:, None]
        self.noise = torch.randn(1, 1, 16, H // 8, W // 8, generator=torch.Generator().manual_seed(seed))
        self.rings = [Ring(self.spec["dit"]["layers"], schedule["kvFrames"], schedule["sinkFrames"]) for _ in self.steps]
        self.encoder_state = self.decoder_state = None

    @torch.no_grad()
    def chunk(self, pixels):
        """pixels [4, 3, H, W] in -1..1 -> the same, restyled"""
        z, self.encoder_state = self.autoencoder.encode(pixels[None], self.encoder_state)
        clean = x0 = self.autoencoder.normalise(z)
        for t, ring in zip(self.steps, self.rings):
            sigma = t / 1000
            noisy = (1 - sigma) * self.schedule["latentScale"] * x0 + sigma * self.noise
            x0 = self.dit(noisy, clean, torch.full((1, 1), t), self.context, ring.attention(self.dit.head_dim, H // 16, W // 16))
        out, self.decoder_state = self.autoencoder.decode(self.autoencoder.denormalise(x0), self.decoder_state)
        return out[0].clamp(-1, 1)


def by_chunks(frames, function):
    """Applies function([4, 3, H, W] in -1..1) to uint8 frames, chunk by chunk."""
    pixels = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1
    out = torch.cat([function(chunk) for chunk in pixels.split(4)])
    return ((out * 0.5 + 0.5) * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


@torch.no_grad()
def autoencode(autoencoder, frames):
    state = [None, None]

    def chunk(pixels):
        z, state[0] = autoencoder.encode(pixels[None], state[0])
        y, state[1] = autoencoder.decode(z, state[1])
        return y[0].clamp(-1, 1)

    return by_chunks(frames, chunk)


def psnr(a, b):
    return float(-10 * np.log10(((a.astype(np.float64) - b) ** 2).mean() / 255 ** 2 + 1e-12))


def sobel(frames):
    grey = [cv2.GaussianBlur(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), (0, 0), 1.5).astype(np.float32) for f in frames]
    return np.stack([cv2.magnitude(cv2.Sobel(g, cv2.CV_32F, 1, 0), cv2.Sobel(g, cv2.CV_32F, 0, 1)) for g in grey])


def flicker(frames):
    return float(np.abs(np.diff(frames.astype(np.float32), axis=0)).mean())


def label(frame, text):
    """A copy of the frame with a caption in its lower left corner."""
    image = Image.fromarray(frame)
    ImageDraw.Draw(image).text((6, H - 16), text, fill="white", stroke_fill="black", stroke_width=1)
    return np.array(image)


def draw_sheet(path, rows, columns, width):
    """rows: name -> frames. One line for each row with `columns` moments, or a labelled grid four wide. 256 colours."""
    if columns > 1:
        moments = np.linspace(4, len(next(iter(rows.values()))) - 1, columns).astype(int)
        lines = [np.concatenate([frames[m] for m in moments], 1) for frames in rows.values()]
    else:
        tiles = [label(frames[-1], name) for name, frames in rows.items()]
        tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % 4)
        lines = [np.concatenate(tiles[i:i + 4], 1) for i in range(0, len(tiles), 4)]
    sheet = np.concatenate(lines, 0)
    size = (width, sheet.shape[0] * width // sheet.shape[1])
    image = Image.fromarray(sheet).resize(size, Image.LANCZOS)
    image.quantize(palette=image.quantize(256), dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("input")
    parser.add_argument("sheet")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--crop", type=int, nargs=3)
    parser.add_argument("--columns", type=int, default=4, help="moments shown; 1 draws a grid of looks instead")
    parser.add_argument("--width", type=int, default=1024, help="of the sheet")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    models = load_models()
    frames = read_frames(args.input, args.frames // 4 * 4, args.skip, args.crop)
    rebuilt = autoencode(models[1], frames)
    report = {"autoencoder": psnr(rebuilt[4:], frames[4:]), "input": {"flicker": flicker(frames[4:])}, "rebuilt": {"flicker": flicker(rebuilt[4:])}}
    rows, edges, plain = [frames, rebuilt], sobel(frames[4:]), None
    for name, prompt in PROMPTS.items():
        out = by_chunks(frames, Stream(models, prompt, args.steps).chunk)
        plain = out if plain is None else plain
        target = np.stack([apply(name, f) for f in frames[4:]])
        report[name] = dict(psnr=psnr(out[4:], target), structure=float(np.corrcoef(sobel(out[4:]).ravel(), edges.ravel())[0, 1]), flicker=flicker(out[4:]),
                            effect=float(np.abs(out[4:].astype(np.float32) - plain[4:]).mean()))
        rows.append(out)
    draw_sheet(args.sheet, dict(zip(["input", "autoencoder alone", *PROMPTS.values()], rows)), args.columns, args.width)
    if args.json:
        print(json.dumps(report))
        return
    print(f"autoencoder {report['autoencoder']:.1f} dB, flicker input {report['input']['flicker']:.2f} rebuilt {report['rebuilt']['flicker']:.2f}")
    for name in PROMPTS:
        print(f"{name:12s}" + "  ".join(f"{key} {value:.2f}" for key, value in report[name].items()))


if __name__ == "__main__":
    main()
