"""The looks the model learns: procedural, temporally stable filters of one frame.

Every texture is fixed to the screen or to the content, never random per frame, so that a still clip gives
a still result. Frames are uint8 RGB [H, W, 3] of 256x144. Lines and dabs are kept larger than about four
pixels, because the autoencoder cannot carry finer ones.
"""
import cv2
import numpy as np

H, W = 144, 256
Y, X = np.mgrid[0:H, 0:W].astype(np.float32)


def noise_field(cell, seed):
    """Smooth random field of unit deviation with features of about `cell` pixels."""
    rng = np.random.RandomState(seed)
    field = cv2.resize(rng.randn(H // cell + 2, W // cell + 2).astype(np.float32), (W, H), interpolation=cv2.INTER_CUBIC)
    return field / field.std()


PAPER = 0.4 * noise_field(4, 3) + 0.6 * noise_field(12, 4)
DABS = cv2.filter2D(noise_field(3, 1), -1, np.eye(11, dtype=np.float32) / 11)
TILE = 8
TILE_RELIEF = 1 + 0.14 * ((X % TILE < 1.5) | (Y % TILE < 1.5)) - 0.22 * ((X % TILE > TILE - 2.5) | (Y % TILE > TILE - 2.5))
VIGNETTE = 1 - 0.45 * (((X / W - 0.5) ** 2 + (Y / H - 0.5) ** 2) / 0.5)


def grey(frame):
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def to_u8(x):
    return np.clip(x, 0, 255).astype(np.uint8)


def edges(g, sigma, low=14.0, span=90.0):
    """Soft edge strength 0..1 of a grey picture and its derivatives."""
    b = cv2.GaussianBlur(g, (0, 0), sigma).astype(np.float32)
    gx, gy = cv2.Sobel(b, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(b, cv2.CV_32F, 0, 1, ksize=3)
    return np.clip((cv2.magnitude(gx, gy) - low) / span, 0, 1), gx, gy


def smooth(frame, times=2, size=7, colour=45, space=5):
    for _ in range(times):
        frame = cv2.bilateralFilter(frame, size, colour, space)
    return frame


def kuwahara(frame, r):
    """Edge-preserving smoothing into flat dabs of about r pixels."""
    x, g = frame.astype(np.float32), grey(frame).astype(np.float32)
    best = out = None
    for ax in (0, r):
        for ay in (0, r):
            box = dict(ksize=(r + 1, r + 1), anchor=(ax, ay))
            mean, g1 = cv2.blur(x, **box), cv2.blur(g, **box)
            var = cv2.blur(g * g, **box) - g1 * g1
            if best is None:
                best, out = var, mean
            else:
                out = np.where((var < best)[..., None], mean, out)
                best = np.minimum(best, var)
    return to_u8(out)


def saturate(frame, factor):
    hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 1] *= factor
    return cv2.cvtColor(to_u8(hsv), cv2.COLOR_HSV2RGB)


def ramp(g, colours):
    """Values 0..1 -> piecewise linear colour ramp."""
    colours = np.array(colours, np.float32)
    table = np.stack([np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(colours)), colours[:, c]) for c in range(3)], -1)
    return table.astype(np.float32)[to_u8(g * 255)]


def soft_levels(v, count, steepness=5.0):
    """Posterises 0..1 into `count` levels with soft borders (hard ones flicker)."""
    scaled = v * count
    base = np.floor(scaled)
    return (base + np.clip((scaled - base - 0.5) * steepness + 0.5, 0, 1)) / count


def lift(frame, power):
    """Brightens shadows and middle tones, hue and saturation stay: painted faces must not turn dark."""
    v = frame.max(-1, keepdims=True).astype(np.float32) / 255
    return to_u8(frame * np.maximum(v, 0.04) ** (power - 1))


def details(g, near=0.8, far=4.0, span=34.0):
    """0..1 where the picture is darker than its surroundings: eyes, brows, mouths, folds."""
    g = g.astype(np.float32)
    return np.clip((cv2.GaussianBlur(g, (0, 0), far) - cv2.GaussianBlur(g, (0, 0), near) - 4) / span, 0, 1)


def watercolour(frame):
    """Light washes on white paper, a pen's indigo lines over them, and a ragged paper border."""
    s = saturate(lift(smooth(kuwahara(frame, 2), 1, 9, 60, 6), 0.72), 2.1).astype(np.float32)
    rim_dark, _, _ = edges(grey(frame), 1.3, 16, 160)
    s = 255 - (255 - s) * 0.66
    s = s * (1 + 0.05 * PAPER[..., None])
    pen = np.clip(0.8 * details(grey(frame)) + 0.3 * rim_dark, 0, 0.85)[..., None]
    s = s * (1 - pen) + np.array([44, 42, 84]) * pen
    border = np.clip(np.minimum.reduce([X, Y, W - 1 - X, H - 1 - Y]) + 3 * PAPER - 1, 0, 8)[..., None] / 8
    return to_u8(s * border + np.array([251, 248, 241]) * (1 - border))


def pencil(frame):
    """Grey sketch on warm paper: soft tone, strong dark contours."""
    g = grey(frame).astype(np.float32)
    dodge = np.clip(g * 255 / (256 - cv2.GaussianBlur(255 - g, (0, 0), 5)), 0, 255) / 255
    tone = cv2.GaussianBlur(g, (0, 0), 2) / 255
    shade = 1 - 0.5 * np.clip((0.55 - tone) * 2.0, 0, 1)
    line, _, _ = edges(grey(frame), 1.0, 14, 190)
    out = np.clip(dodge ** 1.3 * shade - 0.6 * line, 0.07, 1)
    return to_u8(out[..., None] * np.array([248, 245, 236]))


def neon(frame):
    """Night: a violet picture, tones readable, with thick glowing contours, pink on the left to cyan on the right."""
    line, _, _ = edges(grey(smooth(frame, 1)), 1.6, 22, 80)
    hue = ramp(X / W * 0.75 + Y / H * 0.25, [(255, 40, 150), (200, 60, 255), (40, 190, 255), (60, 255, 210)])
    light = 0.8 * cv2.GaussianBlur(line, (0, 0), 0.8)[..., None] * hue
    glow = cv2.GaussianBlur(light, (0, 0), 5) * 0.6
    g = cv2.createCLAHE(2.0, (3, 3)).apply(grey(frame)) / 255.0
    base = ramp(g, [(6, 3, 24), (38, 16, 92), (86, 40, 160), (140, 84, 214)])
    return to_u8(base + (glow + light) * (1 - 0.6 * details(grey(frame)))[..., None])


def oil(frame):
    """Oil painting in the picture's own, deepened colours: flat dabs, slanting bristle marks lit from the left."""
    k = saturate(lift(kuwahara(kuwahara(frame, 2), 3), 0.85), 1.3).astype(np.float32)
    k = k * (1 + 0.17 * DABS[..., None])
    return to_u8(k * (1 - 0.35 * details(grey(frame)))[..., None])


def autumn(frame):
    """Golden autumn light: warm shadows, amber lights, a soft bloom. Detail stays."""
    warm = ramp((grey(frame) / 255.0) ** 0.85, [(34, 14, 12), (112, 44, 22), (200, 104, 34), (244, 184, 80), (255, 240, 192)])
    out = 0.6 * warm + 0.4 * saturate(frame, 1.3)
    bloom = cv2.GaussianBlur(np.clip(out - 150, 0, None), (0, 0), 6) * 0.35
    return to_u8((out + bloom) * (0.5 + 0.5 * VIGNETTE[..., None]))


def anime(frame):
    """Cel shading: a few flat, clear tones and bold dark outlines; shadows are lifted, so faces stay bright."""
    s = lift(smooth(kuwahara(frame, 2), 1, 7, 50, 5), 0.62)
    hsv = cv2.cvtColor(s, cv2.COLOR_RGB2HSV).astype(np.float32)
    v = cv2.GaussianBlur(hsv[..., 2], (0, 0), 1.0) / 255
    hsv[..., 2] = np.clip(0.12 + 0.95 * soft_levels(v, 4), 0, 1) * 255
    hsv[..., 1] = np.clip(hsv[..., 1] * 1.2, 0, 215)
    out = cv2.cvtColor(to_u8(hsv), cv2.COLOR_HSV2RGB).astype(np.float32)
    outline, _, _ = edges(grey(s), 1.3, 60, 90)
    line = np.clip(0.9 * outline + 0.9 * details(grey(frame)), 0, 0.92)[..., None]
    return to_u8(out * (1 - line) + np.array([30, 18, 34]) * line)


def noir(frame):
    """Film noir: black and white, very high contrast, vignette."""
    g = cv2.GaussianBlur(grey(smooth(frame, 1)), (0, 0), 0.8).astype(np.float32) / 255
    g = np.clip(0.5 + (g ** 0.85 - 0.47) * 1.6, 0, 1)
    out = g * g * (3 - 2 * g) * np.clip(VIGNETTE * 1.1, 0, 1)
    return to_u8(ramp(out, [(6, 6, 8), (122, 122, 124), (250, 250, 246)]))


def cyberpunk(frame):
    """Duotone of violet shadows, magenta middle and cyan lights."""
    g = cv2.createCLAHE(2.0, (4, 4)).apply(grey(kuwahara(frame, 2))) / 255.0
    out = ramp(g, [(10, 4, 34), (62, 8, 112), (214, 20, 140), (255, 90, 150), (110, 235, 255), (235, 255, 255)])
    out = out + cv2.GaussianBlur(out, (0, 0), 8) * 0.2
    return to_u8(out * VIGNETTE[..., None])


def winter(frame):
    """Icy blue picture with snow on upper edges and frost around the border."""
    s = smooth(frame, 1)
    ice = ramp((grey(s) / 255.0) ** 0.85, [(16, 30, 62), (52, 96, 150), (128, 178, 214), (206, 230, 244), (255, 255, 255)])
    out = 0.78 * ice + 0.22 * s
    _, _, gy = edges(grey(frame), 1.5)
    out = out + (255 - out) * np.clip(-gy / 90, 0, 0.9)[..., None]
    frost = np.clip((1 - np.clip(VIGNETTE + 0.06 * PAPER, 0, 1)) * 1.6 - 0.2, 0, 0.85)
    return to_u8(out + (255 - out) * frost[..., None])


def mosaic(frame):
    """Square tiles of eight pixels with lit upper left rims, in strong colours."""
    small = cv2.resize(saturate(frame, 1.3), (W // TILE, H // TILE), interpolation=cv2.INTER_AREA).astype(np.float32)
    out = np.repeat(np.repeat(128 + (small - 128) * 1.15, TILE, 0), TILE, 1)
    return to_u8(out * TILE_RELIEF[..., None])


def dusk(frame):
    """Light after sunset: violet from above, orange from below, darker."""
    sky = ramp(Y / H, [(70, 50, 130), (190, 90, 130), (255, 140, 70)]) / 255
    light = grey(frame).astype(np.float32)[..., None] / 255
    out = (0.45 * saturate(frame, 1.1) + 0.55 * 255 * light ** 1.1) * (0.25 + 1.05 * sky)
    return to_u8(out * 1.08)


PAINTS = dict(watercolour=watercolour, oil=oil, pencil=pencil, neon=neon, anime=anime, mosaic=mosaic, noir=noir, cyberpunk=cyberpunk)
LIGHTS = dict(autumn=autumn, winter=winter, dusk=dusk)
# Looks that keep colours, so that a light may be cast on them: "watercolour+dusk".
LIT = ("watercolour", "oil", "anime", "mosaic")
LOOKS = [*PAINTS, *LIGHTS, *(f"{paint}+{light}" for paint in LIT for light in LIGHTS)]


def apply(name, frame):
    """The look `name` of a frame: "photo", a paint, a light, or "paint+light"."""
    if name == "photo":
        return frame
    for part in name.split("+"):
        frame = (PAINTS | LIGHTS)[part](frame)
    return frame
