"""The wordings a look is asked for with, in training: captions, filler words, names of things.

People write sentences, not keys. So a caption is one of many wordings of the look, often with words around it
that say nothing about the look ("make me a ... please") or that name things the model cannot draw ("beach",
"dragon"). Only names, no look, stands for the picture as it is.
"""

PAINTS = dict(
    watercolour=["watercolour", "watercolour painting on paper", "watercolor painting", "a soft watercolour painting", "watercolor portrait, pastel washes", "aquarelle", "painted with watercolours", "water colour wash"],
    oil=["oil painting", "oil on canvas", "impressionist oil painting", "old master oil painting", "thick oil paint, brush strokes", "painted in oils", "van gogh style painting", "expressive brush strokes on canvas"],
    pencil=["pencil sketch", "a graphite pencil drawing", "black and white sketch on paper", "hand drawn pencil portrait", "charcoal drawing", "sketchbook drawing", "line drawing, graphite", "sketched by hand"],
    neon=["neon night", "neon", "glowing neon outlines in the dark", "neon lights at night", "dark scene with neon contours", "neon glow", "neon line art, night club", "glow in the dark lines"],
    anime=["anime", "anime cel shading", "cartoon with bold outlines", "comic book, flat colours", "cel shaded cartoon", "animated film, manga style", "toon", "flat shaded comic"],
    mosaic=["mosaic", "pixel art", "pixel mosaic", "mosaic of square tiles", "8 bit video game", "retro pixels", "blocky pixelated picture", "tiled mosaic"],
    noir=["film noir", "black and white film noir", "high contrast monochrome film", "noir detective movie", "dramatic black and white photograph", "old black and white movie", "monochrome", "1940s black and white"],
    cyberpunk=["cyberpunk", "cyberpunk, magenta and cyan", "cyberpunk city", "synthwave duotone", "futuristic cyberpunk portrait", "vaporwave, pink and teal", "retrowave", "purple and cyan hologram"],
)
LIGHTS = dict(
    autumn=["autumn", "autumn light", "golden autumn light", "warm autumn colours", "golden fall leaves", "warm fall colors", "amber evening sun", "october sunshine"],
    winter=["winter", "frozen winter, icy blue", "ice and snow, frosty", "snowy winter day", "covered in frost", "cold winter morning with snow", "ice kingdom", "frozen"],
    dusk=["dusk", "sunset", "at dusk", "sunset light", "evening glow, purple and orange", "after sundown", "twilight", "sunset sky"],
)
PHOTO = ["photo", "natural photo", "realistic video, unchanged", "original camera picture", "photorealistic", "plain video", "real life", "nothing changed"]
BEFORE = ["", "", "", "a ", "in the style of ", "turn this into ", "make it look like ", "me as ", "restyle as ", "please make me ", "i want ", "show me in "]
AFTER = ["", "", "", ", high quality", ", beautiful", ", detailed", " style", ", artistic", " look", ", masterpiece", " please", ", 4k"]
JOINED = ["{paint}, {light}", "{paint} in {light}", "{light}, {paint}", "{paint} with {light}", "{light} {paint}", "{paint} at {light}"]
THINGS = """beach forest city street mountain mountains library space stars office garden flowers underwater ocean sea lake river island
castle dragon robot wizard knight princess king queen astronaut cat dog horse bird tiger lion wolf bear fish whale portrait face person man
woman girl boy people crowd friend family chef doctor teacher musician dancer singer hero villain pirate ninja samurai viking elf fairy
house room kitchen cafe bar market bridge tower temple church ruins desert jungle meadow field farm village town harbour ship boat train car
spaceship planet moon sun sky clouds rain storm lightning fire smoke water waves trees tree leaves grass rose roses tulips tea coffee cake
fruit book books lamp window door chair table piano guitar violin painting picture scene landscape background hat glasses suit dress crown
magic dream dreamy epic funny cute scary old young small big calm wild happy sad mysterious elegant modern ancient""".split()
NEAR = ["at the", "in a", "with", "of a", "and", "near the", "by the", "on the"]


def things(rng):
    """One to three names with the small words between them: "in a castle dragon"."""
    return " ".join([rng.choice(NEAR), *rng.choice(THINGS, rng.randint(1, 4), replace=False)])


def caption(name, rng):
    """A random wording for the look `name` of styles.py."""
    if name == "photo":
        said = things(rng) if rng.rand() < 0.4 else rng.choice(PHOTO)
    elif "+" in name:
        paint, light = name.split("+")
        said = rng.choice(JOINED).format(paint=rng.choice(PAINTS[paint]), light=rng.choice(LIGHTS[light]))
    else:
        said = rng.choice((PAINTS | LIGHTS)[name])
    if name != "photo" and rng.rand() < 0.35:
        said = f"{said} {things(rng)}" if rng.rand() < 0.6 else f"{things(rng)}, {said}"
    return rng.choice(BEFORE) + said + rng.choice(AFTER)
