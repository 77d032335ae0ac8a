"""Procedural talking heads: head and shoulders with hair, eyes, mouth, clothes, soft light and gentle motion.

Few freely licensed faces exist for training; these clips teach the networks where people are, how large
the parts of a face are and how they move. `person_clip(rng, background, frames)` draws one clip.
"""
import cv2
import numpy as np

W, H, SUPER = 256, 144, 1
SKIN = np.array([(255, 224, 196), (241, 194, 156), (224, 172, 130), (198, 134, 94), (141, 85, 54), (88, 52, 36), (255, 213, 186)], np.float32)
HAIR = np.array([(28, 22, 20), (60, 40, 28), (104, 66, 36), (190, 150, 90), (150, 60, 34), (150, 150, 152), (220, 214, 205)], np.float32)
CLOTHES = np.array([(30, 34, 46), (58, 84, 132), (170, 40, 44), (230, 230, 226), (60, 110, 80), (210, 170, 60), (120, 70, 130), (90, 90, 96)], np.float32)
_noise_rng = np.random.RandomState(3)
TEXTURE = cv2.GaussianBlur(_noise_rng.randn(H * SUPER, W * SUPER).astype(np.float32), (0, 0), 1.2)
TEXTURE /= TEXTURE.std()
STRANDS = cv2.GaussianBlur(_noise_rng.randn(H * SUPER, W * SUPER).astype(np.float32), (0, 0), 1.0, sigmaY=9)
STRANDS /= STRANDS.std()
TEXTURE_FRAMES = _noise_rng.randn(8, H, W, 1).astype(np.float32)
YY, XX = np.mgrid[0:H * SUPER, 0:W * SUPER].astype(np.float32)


def ellipse_points(cx, cy, rx, ry, power=2.0, count=48, start=0.0, end=2 * np.pi):
    """Outline of a superellipse."""
    a = np.linspace(start, end, count)
    c, s = np.cos(a), np.sin(a)
    return np.stack([cx + rx * np.sign(c) * np.abs(c) ** (2 / power), cy + ry * np.sign(s) * np.abs(s) ** (2 / power)], 1)


class Canvas:
    """Draws polygons given in face units (1 = half the face height) under a rotation, scale and shift."""

    def __init__(self, image, centre, scale, angle):
        self.image, self.scale = image, scale
        c, s = np.cos(angle) * scale, np.sin(angle) * scale
        self.matrix = np.array([[c, -s], [s, c]])
        self.centre = np.asarray(centre)

    def mask(self, points, soft=0.0):
        """Box (slices) and anti-aliased coverage 0..1 of a polygon inside it; soft = blur in face units."""
        pixels = points @ self.matrix.T + self.centre
        margin = 3 + int(3 * soft * self.scale)
        height, width = self.image.shape[:2]
        x0, y0 = np.maximum(np.floor(pixels.min(0)).astype(int) - margin, 0)
        x1, y1 = np.minimum(np.ceil(pixels.max(0)).astype(int) + margin, (width, height))
        box = np.s_[y0:max(y1, y0), x0:max(x1, x0)]
        mask = np.zeros(self.image[box].shape[:2], np.uint8)
        if mask.size:
            cv2.fillPoly(mask, [np.round((pixels - (x0, y0)) * 8).astype(np.int32)], 255, cv2.LINE_AA, 3)
            if soft > 0:
                mask = cv2.GaussianBlur(mask, (0, 0), max(0.3, soft * self.scale))
        return box, mask.astype(np.float32)[..., None] / 255

    def blend(self, box, mask, colour, gain=1.0):
        """Mixes colour * gain (RGB triple or full picture) into the box."""
        colour = np.asarray(colour, np.float32)
        part = colour[box] if colour.ndim == 3 else colour
        self.image[box] += (np.clip(part * gain, 0, 255) - self.image[box]) * mask

    def fill(self, points, colour, soft=0.0, alpha=1.0, gain=1.0):
        """Paints one polygon."""
        box, mask = self.mask(points, soft)
        self.blend(box, mask * alpha, colour, gain)


class Person:
    """Fixed look of one person; `draw` paints it over a background at one moment."""

    def __init__(self, rng):
        u = rng.uniform
        self.skin = SKIN[rng.randint(len(SKIN))] * u(0.85, 1.08) + rng.randn(3) * 5
        self.hair = HAIR[rng.randint(len(HAIR))] * u(0.8, 1.15)
        self.cloth = CLOTHES[rng.randint(len(CLOTHES))] * u(0.75, 1.15) + rng.randn(3) * 12
        self.width, self.jaw = u(0.70, 0.86), u(2.0, 2.6)
        self.eye_y, self.eye_x, self.eye_r = u(-0.16, -0.04), u(0.28, 0.36), u(0.085, 0.125)
        self.iris = np.array([(70, 45, 28), (60, 90, 120), (70, 95, 60), (40, 30, 26)][rng.randint(4)], np.float32)
        self.nose, self.mouth_w, self.mouth_y = u(0.08, 0.13), u(0.2, 0.31), u(0.46, 0.56)
        self.brow_t, self.brow_h = u(0.03, 0.06), u(0.17, 0.24)
        self.style = rng.choice(["short", "long", "bun", "bald", "cap"], p=[0.42, 0.3, 0.1, 0.1, 0.08])
        self.hairline, self.volume = u(-0.62, -0.42), u(1.05, 1.3)
        self.beard = rng.rand() < 0.22
        self.glasses = rng.rand() < 0.25
        self.shoulders, self.stripes = u(1.7, 2.3), rng.rand() < 0.3
        self.light = u(-1, 1)
        self.lip = self.skin * np.array([0.86, 0.58, 0.58])
        self.teeth = rng.rand() < 0.5

    def draw(self, image, centre, scale, angle, yaw, pitch, blink, talk):
        body = Canvas(image, centre, scale, angle * 0.25)
        face = Canvas(image, centre, scale, angle)
        shade = (1 + 0.22 * self.light * np.clip((XX - centre[0]) / scale, -1.3, 1.3)).astype(np.float32)[..., None]
        skin = self.skin.astype(np.float32) * shade + TEXTURE[..., None] * 3
        hair = self.hair.astype(np.float32) * (0.9 + 0.12 * shade) * (1 + 0.22 * STRANDS[..., None])
        self._body(body, skin, shade)
        self._back_hair(face, hair)
        dx, w = 0.1 * yaw, self.width
        for side in (-1, 1):
            face.fill(ellipse_points(side * w * 0.97 - dx * 0.6, 0.0, 0.11, 0.2), skin, gain=0.88)
        head = ellipse_points(0, 0, w, 1.0, 2.0)
        head[:, 0] *= np.where(head[:, 1] > 0.2, 1 - 0.18 * (head[:, 1] - 0.2) * (2.6 - self.jaw) - 0.06, 1)
        face.fill(head, skin)
        face.fill(ellipse_points(-self.light * w * 0.85, 0.1, 0.3, 0.9), skin, 0.14, 0.5, 0.75)
        face.fill(ellipse_points(0, 0.98, w * 0.8, 0.14), skin, 0.08, 0.6, 0.72)
        self._features(face, skin, dx, 0.06 * pitch, blink, talk)
        self._front_hair(face, hair, head)

    def _body(self, c, skin, shade):
        s = self.shoulders
        cloth = self.cloth.astype(np.float32) * (0.85 + 0.15 * shade) * (1 + 0.05 * TEXTURE[..., None])
        if self.stripes:
            cloth = cloth * (1 - 0.3 * (np.sin(YY / c.scale * 14) > 0.3)[..., None])
        c.fill(ellipse_points(0, 2.75, s, 1.55, 2.6), cloth)
        c.fill(np.array([(-0.4, 0.6), (0.4, 0.6), (0.46, 1.35), (0.0, 1.75), (-0.46, 1.35)]), skin, gain=0.82)
        c.fill(ellipse_points(0, 0.98, 0.46, 0.3), skin, 0.1, 0.6, 0.6)
        for side in (-1, 1):
            c.fill(np.array([(side * 0.42, 1.15), (side * 0.68, 1.3), (side * 0.14, 1.95), (0, 1.75)]), cloth, gain=0.8)

    def _back_hair(self, c, hair):
        v = self.volume
        if self.style == "long":
            c.fill(ellipse_points(0, 0.35, self.width * v * 1.12, 1.5, 2.8), hair, gain=0.7)
        elif self.style == "bun":
            c.fill(ellipse_points(0, -1.12, 0.34, 0.3), hair, gain=0.85)
        if self.style != "bald":
            c.fill(ellipse_points(0, -0.22, self.width * v, 0.98), hair, gain=0.8)

    def _front_hair(self, c, hair, head):
        if self.style == "bald":
            return
        line = self.hairline
        crown = ellipse_points(0, -0.1, self.width * 1.07, 1.06, 2.0, 40, np.pi * 1.02, np.pi * 1.98)
        fringe = np.array([(self.width * 0.98, -0.2), (self.width * 0.8, line + 0.1), (0.25, line - 0.06 * self.light), (-0.3, line + 0.05),
                           (-self.width * 0.82, line + 0.16), (-self.width * 0.98, -0.2)])
        colour = self.cloth * np.ones_like(hair) if self.style == "cap" else hair
        c.fill(np.concatenate([crown, fringe]), colour, 0.02)
        c.fill(ellipse_points(0.25 * self.light, -0.85, 0.35, 0.1), colour, 0.08, 0.5, 1.45)

    def _features(self, c, skin, dx, dy, blink, talk):
        ey, open_ = self.eye_y + dy, max(0.08, 1 - blink)
        for side in (-1, 1):
            x = side * self.eye_x + dx
            c.fill(ellipse_points(x, ey - 0.03, self.eye_r * 1.5, self.eye_r * 1.15), skin, 0.04, 0.7, 0.78)
            c.fill(ellipse_points(x, ey, self.eye_r * 1.25, self.eye_r * 0.72 * open_), (238, 234, 230))
            if open_ > 0.3:
                c.fill(ellipse_points(x + dx * 0.25, ey, self.eye_r * 0.6, self.eye_r * 0.66 * open_), self.iris * 0.6)
            lid = ellipse_points(x, ey - self.eye_r * 0.62 * open_ + 0.01, self.eye_r * 1.35, 0.03)
            c.fill(lid, skin, gain=0.3)
            brow = np.array([(-1.25, 0.05), (-0.3, -0.4), (1.3, 0.1), (1.25, 0.1 + 1.0), (-0.3, 0.6), (-1.25, 0.8)])
            brow = brow * np.array([self.eye_r * 1.25 * side, self.brow_t]) + np.array([x, ey - self.brow_h - 0.02])
            c.fill(brow, self.hair * 0.55, 0.01, 0.9)
        nx, ny = dx * 1.5, 0.24 + dy
        c.fill(np.array([(nx * 0.4 - 0.04, ey), (nx * 0.4 + 0.04, ey), (nx + self.nose, ny), (nx - self.nose, ny)]), skin, 0.04, 0.6, 1.14)
        c.fill(ellipse_points(nx, ny + 0.02, self.nose * 1.15, 0.045), skin, 0.025, 0.8, 0.55)
        c.fill(ellipse_points(nx + -0.1 * self.light, ny - 0.12, 0.05, 0.2), skin, 0.04, 0.5, 0.72)
        mx, my = dx * 1.2, self.mouth_y + dy
        if self.beard:
            c.fill(ellipse_points(mx, 0.66, self.width * 0.74, 0.36, 2.4), self.hair * 0.8, 0.05, 0.85)
        gap = 0.02 + 0.14 * talk
        c.fill(ellipse_points(mx, my, self.mouth_w, 0.07 + gap * 0.6), np.clip(self.lip, 0, 255), 0.012)
        c.fill(ellipse_points(mx, my, self.mouth_w * 0.85, max(0.016, gap * 0.55)), (70, 24, 26))
        if self.teeth and talk > 0.25:
            c.fill(ellipse_points(mx, my - gap * 0.22, self.mouth_w * 0.65, gap * 0.22), (232, 226, 218))
        if self.glasses:
            self._glasses(c, dx, ey)

    def _glasses(self, c, dx, ey):
        r = self.eye_r * 1.9
        for side in (-1, 1):
            x = side * self.eye_x + dx
            outer, inner = ellipse_points(x, ey, r, r * 0.85, 3), ellipse_points(x, ey, r - 0.035, r * 0.85 - 0.035, 3)
            c.fill(np.concatenate([outer, inner[::-1]]), (24, 24, 26))
        c.fill(np.array([(dx - self.eye_x + r, ey - 0.03), (dx + self.eye_x - r, ey - 0.03), (dx + self.eye_x - r, ey + 0.01), (dx - self.eye_x + r, ey + 0.01)]), (24, 24, 26))


def _smooth_walk(rng, frames, speed, size):
    """Sum of two slow sines with random phases: gentle, bounded motion."""
    t = np.arange(frames) / 16.0
    return size * (np.sin(2 * np.pi * speed * rng.uniform(0.6, 1.4) * t + rng.uniform(0, 6.28)) + 0.5 * np.sin(2 * np.pi * speed * 2.3 * t + rng.uniform(0, 6.28)))


def person_clip(rng, background, frames):
    """background: uint8 [frames, H, W, 3] -> uint8 clip of the same shape with one person in front."""
    person, big = Person(rng), (W * SUPER, H * SUPER)
    scale = rng.uniform(0.17, 0.36) * big[1]
    base = np.array([rng.uniform(0.3, 0.7) * big[0], rng.uniform(0.36, 0.56) * big[1]])
    lively = rng.choice([0.0, 0.4, 1.0, 2.0])
    x, y = (_smooth_walk(rng, frames, 0.35, 0.09 * lively) for _ in range(2))
    angle, yaw = _smooth_walk(rng, frames, 0.4, 0.06 * lively) + rng.randn() * 0.06, _smooth_walk(rng, frames, 0.4, 0.5 * lively) + rng.randn() * 0.7
    pitch, talk = _smooth_walk(rng, frames, 0.4, 0.4 * lively), np.clip(_smooth_walk(rng, frames, 2.2, 0.6) * (rng.rand() < 0.7), 0, 1)
    blink_at, soft = rng.randint(-frames, frames), rng.uniform(0.3, 1.0)
    gain, tint, grain = rng.uniform(0.75, 1.15), 1 + rng.randn(3) * 0.05, rng.choice([0.0, 1.5])
    out = []
    for t in range(frames):
        image = cv2.resize(background[t], big, interpolation=cv2.INTER_LINEAR).astype(np.float32)
        blink = float(np.clip(1.2 - 0.6 * abs(t - blink_at), 0, 1))
        person.draw(image, base + scale * np.array([x[t], 0.4 * y[t]]), scale * (1 + 0.04 * y[t]), angle[t], yaw[t], pitch[t], blink, float(talk[t]))
        image = cv2.resize(cv2.GaussianBlur(image, (0, 0), soft), (W, H), interpolation=cv2.INTER_AREA) * gain * tint
        image += grain * TEXTURE_FRAMES[rng.randint(8)]
        out.append(np.clip(image, 0, 255).astype(np.uint8))
    return np.stack(out)
