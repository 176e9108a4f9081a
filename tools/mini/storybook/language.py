"""How the scenes are spoken about: captions, and instructions for single changes and pairs of them.

Phrases are templates in tables; the words are the ones the released weights learned.
"""
from __future__ import annotations

import dataclasses
import random

from .world import (COLOR_NAMES, EXPRESSIONS, HATS, NONE, SETTINGS, SIDES, SPECIES, STYLES, THINGS, TIMES, WEARS, Scene,
                    random_scene, replace)

PLACE = {"forest": "in the forest", "city": "in the city", "beach": "on the beach", "desert": "in the desert",
         "snow": "in the snow", "meadow": "in a meadow", "space": "in space", "room": "in a room"}
_NAMED = {"space": "space", "meadow": "a meadow", "room": "a room"}     # the other settings: "the ..."
WHEN = {"day": "during the day", "sunset": "at sunset", "night": "at night"}


@dataclasses.dataclass(frozen=True)
class Edit:
    kind: str           # one of KINDS; of the first change where there are two
    source: Scene
    target: Scene       # the scene that obeys the instruction
    instruction: str


def _an(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def _setting(name: str) -> str:
    return _NAMED.get(name, f"the {name}")


def _worn(wear: str, color: str) -> str:
    return f"{color} glasses" if wear == "glasses" else _an(f"{color} {wear}")


def caption(s: Scene) -> str:
    """What text-to-image is asked for: every visible attribute, in a fixed order."""
    worn = [_an(f"{s.hat_color} {s.hat}")] if s.hat != NONE else []
    worn += [_worn(s.wear, s.wear_color)] if s.wear != NONE else []
    parts = [_an(f"{s.expression} {s.color} {s.species}")]
    parts += ["wearing " + " and ".join(worn)] if worn else []
    parts += [PLACE[s.setting], WHEN[s.time]]
    parts += [f"with {_an(f'{s.thing_color} {s.thing}')} on the {s.thing_side}"] if s.thing != NONE else []
    return " ".join(parts) + ("" if s.style == "normal" else f", {s.style}")


# ---- the phrases, {placeholders} filled by _say
_SETTING = ("put {who} {place}", "change the background to {the_new}", "move {who} to the {new}",
            "change the setting from {the_old} to {the_new}", "replace {the_old} with {the_new}",
            "place {who} {place} while keeping the same pose")
_WHO = ("the {species}", "it", "the character")
_TIME = {"day": ("make it day", "change the lighting to daylight", "make it daytime"),
         "sunset": ("make it sunset", "change the lighting to sunset", "add a sunset"),
         "night": ("make it night", "turn it into a night scene", "change the lighting to night")}
_TIME_ANY = ("change the time from {old} to {new}",)
_COLOR = ("make the {species} {new}", "change the color of the {species} to {new}", "paint the {species} {new}",
          "turn the {old} {species} {new}")
_EXPRESSION_ANY = ("make the {species} {new}", "make it look {new}", "change the expression to {new}",
                   "change the expression from {old} to {new}")
_EXPRESSION = {"happy": ("make it smile", "make it laugh"), "sad": ("make it frown sadly",),
               "surprised": ("make it look shocked",), "angry": ("make it look mad",),
               "sleepy": ("close its eyes", "make it fall asleep")}
_SPECIES = ("replace the {old} with a {new}", "turn the {old} into a {new}", "change the {old} to a {new}")
_RECOLOR = ("make the {old} {color}", "change the color of the {old} to {color}")
_REMOVE = {"hat": ("remove the {old}", "take off the {old}", "take the {old} off"),
           "wear": ("remove the {old}", "take off the {old}"),
           "thing": ("remove the {old}", "delete the {old}", "erase the {color} {old}")}
_ADD = {"hat": ("add {a_new}", "give the {species} {a_new}", "put {a_new} on its head"),
        "wear": ("add {a_new}", "give the {species} {a_new}", "make it wear {a_new}"),
        "thing": ("add {a_new} on the {side}", "put {a_new} to the {side} of the {species}")}
_SWAP = {"hat": ("replace the {old} with {a_new}", "swap the {old} for {a_new}"),
         "wear": ("replace the {old} with {a_new}", "swap the {old} for {a_new}"),
         "thing": ("replace the {old} with {a_new}", "change the {old} to {a_new}")}
_MOVE = ("move the {old} to the {side}",)
_STYLE = {"black and white": ("make it black and white", "turn it into a black and white picture"),
          "pixel art": ("turn it into pixel art", "make it pixel art")}


def _other(values, old, rng):
    return rng.choice([v for v in values if v != old and v != NONE])


def _say(phrases, rng, **words) -> str:
    return rng.choice(phrases).format(**words)


def _edit_setting(s, rng):
    new = _other(SETTINGS, s.setting, rng)
    who = _say(_WHO, rng, species=s.species)
    return replace(s, setting=new), _say(_SETTING, rng, who=who, place=PLACE[new], new=new, the_new=_setting(new),
                                         the_old=_setting(s.setting))


def _edit_time(s, rng):
    new = _other(TIMES, s.time, rng)
    return replace(s, time=new), _say(_TIME[new] + _TIME_ANY, rng, old=s.time, new=new)


def _edit_color(s, rng):
    new = _other(COLOR_NAMES, s.color, rng)
    return replace(s, color=new), _say(_COLOR, rng, species=s.species, old=s.color, new=new)


def _edit_expression(s, rng):
    new = _other(EXPRESSIONS, s.expression, rng)
    return replace(s, expression=new), _say(_EXPRESSION_ANY + _EXPRESSION[new], rng, species=s.species,
                                            old=s.expression, new=new)


def _edit_species(s, rng):
    new = _other(SPECIES, s.species, rng)
    return replace(s, species=new), _say(_SPECIES, rng, old=s.species, new=new)


def _edit_style(s, rng):
    if s.style != "normal":     # colour and detail that are gone cannot be asked back
        return None
    new = _other(STYLES, s.style, rng)
    return replace(s, style=new), _say(_STYLE[new], rng)


def _edit_item(item: str, values: tuple[str, ...]):
    """Edits of a hat, a wear or a thing: remove, recolour, move (a thing), swap or add."""
    def edit(s, rng):
        old, old_color = getattr(s, item), getattr(s, f"{item}_color")
        color = rng.choice(COLOR_NAMES)
        new = _other(values, old, rng)
        a_new = _worn(new, color) if item == "wear" else _an(f"{color} {new}")
        if old == NONE:
            side = {"thing_side": rng.choice(SIDES)} if item == "thing" else {}
            return (replace(s, **{item: new, f"{item}_color": color}, **side),
                    _say(_ADD[item], rng, a_new=a_new, species=s.species, side=side.get("thing_side")))
        if rng.random() < 0.3:
            return replace(s, **{item: NONE}), _say(_REMOVE[item], rng, old=old, color=old_color)
        if rng.random() < (0.3 if item == "thing" else 0.4):
            color = _other(COLOR_NAMES, old_color, rng)
            return replace(s, **{f"{item}_color": color}), _say(_RECOLOR, rng, old=old, color=color)
        if item == "thing" and rng.random() < 0.3:
            side = _other(SIDES, s.thing_side, rng)
            return replace(s, thing_side=side), _say(_MOVE, rng, old=old, side=side)
        return replace(s, **{item: new, f"{item}_color": color}), _say(_SWAP[item], rng, old=old, a_new=a_new)
    return edit


# Kind of edit -> (its function, how often it is asked for). A function returns (target, instruction), or None
# where the scene allows no such edit.
KINDS = {
    "setting": (_edit_setting, 3.0), "time": (_edit_time, 2.0), "style": (_edit_style, 0.7),
    "color": (_edit_color, 2.0), "species": (_edit_species, 1.5), "expression": (_edit_expression, 2.5),
    "hat": (_edit_item("hat", HATS), 3.0), "wear": (_edit_item("wear", WEARS), 3.0),
    "thing": (_edit_item("thing", THINGS), 3.0),
}
USUAL = {kind: weight for kind, (_, weight) in KINDS.items()}


def edit_of_kind(kind: str, scene: Scene, rng: random.Random) -> Edit | None:
    made = KINDS[kind][0](scene, rng)
    return Edit(kind, scene, *made) if made else None


def _asks_for_unseen_color(edit: Edit) -> bool:
    """In a gray picture a colour asked for cannot be seen."""
    gray = "black and white" in (edit.source.style, edit.target.style)
    return gray and ("color" in edit.instruction or any(c in edit.instruction.replace("black and white", "").split()
                                                        for c in COLOR_NAMES))


def random_edit(scene: Scene, rng: random.Random, weights: dict[str, float] = USUAL, double: float = 1 / 6) -> Edit:
    """One instruction; a share of `double` asks for two changes of different kinds at once."""
    kinds, shares = list(weights), list(weights.values())
    while True:
        edit = edit_of_kind(rng.choices(kinds, shares)[0], scene, rng)
        if edit is None:
            continue
        if rng.random() < double:
            second = rng.choices(kinds, shares)[0]
            more = edit_of_kind(second, edit.target, rng) if second != edit.kind else None
            if more is not None:
                edit = dataclasses.replace(edit, target=more.target,
                                           instruction=f"{edit.instruction} and {more.instruction}")
        if not _asks_for_unseen_color(edit):
            return edit


def as_written(instruction: str, rng: random.Random) -> str:
    """The instruction as a person might type it: with a capital now and then, and a full stop."""
    if rng.random() < 0.3:
        instruction = instruction[0].upper() + instruction[1:]
    return instruction + "." if rng.random() < 0.2 else instruction


def sample_lines(count: int, rng: random.Random) -> list[str]:
    """Sentences of the language, for training tokenizers and for a look."""
    lines = []
    while len(lines) < count:
        scene = random_scene(rng)
        lines += [as_written(random_edit(scene, rng).instruction, rng), caption(scene)]
    return lines[:count]
