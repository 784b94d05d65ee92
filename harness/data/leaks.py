"""What a training list or a split of someone else's is worth: which test images it has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.data.lists import BOXED, LEARNT, TEST, Copy, Lists, Overlap, Part, Shared
from harness.data.splits import KNOWN, OFFICIAL

Fact = tuple[str, str, bool | None]


@dataclass(frozen=True)
class TrainingAudit:
    """A training list held against a copy; not ``clean`` if it has test images."""

    protocol: str
    part: Part
    clean: bool
    verdict: str

    def facts(self) -> list[Fact]:
        """Return (what, finding, fine or not or merely told)."""
        return part_facts(self.part, self.protocol, learnt=True)


@dataclass(frozen=True)
class SplitAudit:
    """The parts of a split held against a copy; not ``clean`` if something leaks."""

    protocol: str  # of the split
    parts: tuple[Part, ...]
    shared: tuple[Shared, ...]
    clean: bool
    verdict: str

    def facts(self, own: str) -> list[Fact]:
        """Return (what, finding, fine or not or merely told); ``own`` is the copy's protocol."""
        facts: list[Fact] = [("split", self.protocol, None)]
        for part in self.parts:
            facts += part_facts(part, own, learnt=part.name != TEST)
        for pair in self.shared:
            text = (
                f"{pair.patients:,} patients, {pair.images:,} images, e.g. patient {pair.example}"
            )
            facts.append((f"in {pair.first} and {pair.second}", text, False))
        if not self.shared:
            facts.append(("patients in two parts", "0", True))
        return facts


def audit_training(copy: Copy, written: Sequence[str]) -> TrainingAudit:
    """Return how many of the copy's test images a training list contains."""
    part = copy.part("training", written)
    test = part.overlaps[TEST]
    of = f"{test.of_images:,} {_test_images(copy.protocol)}"
    unknown = f"; {part.unknown:,} of its names are unknown here" if part.unknown else ""
    if not test.images:
        verdict = f"trained on none of the {of}, as far as its list says{unknown}"
    else:
        verdict = (
            f"trained on {test.images:,} of the {of} ({test.share:.1%}): no score on "
            f"{_whose(copy.protocol)} test split counts{unknown}"
        )
    return TrainingAudit(copy.protocol, part, not test.images, verdict)


def audit_split(copy: Copy, lists: Lists) -> SplitAudit:
    """Return what the parts of a split share with each other and with the copy's own test list."""
    parts = tuple(copy.part(name, written) for name, written in lists.items())
    shared, protocol = tuple(copy.shared(lists)), _protocol(copy, lists)
    leaked = sum(part.overlaps[TEST].images for part in parts if part.name != TEST)
    reasons = [f"{p.patients:,} patients are in both {p.first} and {p.second}" for p in shared]
    if leaked:
        reasons.append(f"{leaked:,} {_test_images(copy.protocol)} are outside its test part")
    if reasons:
        consequence = f"no score of it stands beside scores on {_whose(copy.protocol)} split"
        verdict = f"{_name(protocol)}: {'; '.join(reasons)}; {consequence}"
    else:
        verdict = f"{_name(protocol)}: {_tested_on(parts, copy)}, and nothing leaks into it"
    return SplitAudit(protocol, parts, shared, not reasons, verdict)


def _protocol(copy: Copy, lists: Lists) -> str:
    """Name a split; without a validation part its training list may be a whole train_val list."""
    found = copy.protocol_of(lists)
    if "validation" not in lists:
        whole = {LEARNT if part == "train" else part: names for part, names in lists.items()}
        undivided = copy.protocol_of(whole)
        return found if undivided.startswith("custom") else undivided
    return found


def _name(protocol: str) -> str:
    return "a split of its own" if protocol.startswith("custom") else f"the {protocol} split"


def _whose(protocol: str) -> str:
    """Call a copy's own split official only where its lists are."""
    return "the official" if protocol == OFFICIAL else "this copy's"


def _test_images(protocol: str) -> str:
    return "official test images" if protocol == OFFICIAL else "test images of this copy"


def _tested_on(parts: Sequence[Part], copy: Copy) -> str:
    test = next((part for part in parts if part.name == TEST), None)
    if test is None:
        return "it has no part called test"
    whole = test.overlaps[TEST]
    if test.images == whole.images == whole.of_images:
        return f"its test part is {_whose(copy.protocol)} test list"
    return f"its test part has {whole.images:,} of the {whole.of_images:,} test images there are"


def part_facts(part: Part, protocol: str, *, learnt: bool) -> list[Fact]:
    """Return what a table says of one list; test images in a list that is ``learnt`` are wrong."""
    own = _whose(protocol).removeprefix("the ")
    known = f", known as {part.known}" if part.known else ""
    facts: list[Fact] = [
        (
            f"{part.name} list",
            f"{part.images:,} images, {part.patients:,} patients, fingerprint {part.fingerprint}"
            + known,
            None,
        )
    ]
    if part.repeated:
        facts.append(("  named again", f"{part.repeated:,} lines", None))
    if part.unknown:
        text = f"{part.unknown:,}, e.g. {', '.join(part.first_unknown)}"
        facts.append(("  names of no image here", text, None))
    for name, what in _COUNTED.items():
        if name in part.overlaps:
            found = part.overlaps[name]
            wrong = learnt and name != LEARNT
            fine = not found.images if wrong else None
            facts.append((f"  {own} {what}", _counted(found, show=not fine and wrong), fine))
    if BOXED not in part.overlaps:
        facts.append(("  images with boxes", "this copy has no table of boxes", None))
    if part.note:
        facts.append(("  about it", part.note, None))
    return facts


_COUNTED: Mapping[str, str] = {
    LEARNT: "train_val images",
    TEST: "test images",
    BOXED: "images with boxes",
}


def _counted(found: Overlap, *, show: bool) -> str:
    text = (
        f"{found.images:,} of {found.of_images:,} ({found.share:.1%}), "
        f"{found.patients:,} of {found.of_patients:,} patients"
    )
    return text + (f", e.g. {', '.join(found.first)}" if show else "")


def known_parts(fingerprints: Mapping[str, object]) -> list[Fact]:
    """Return which known list each fingerprint of a stored record is."""
    facts: list[Fact] = []
    for part, digest in fingerprints.items():
        known = KNOWN.get(str(digest)[:16])
        text = f"{known.protocol} {known.part}, {known.images:,} images" if known else "not known"
        facts.append((f"{part} list", f"{digest}: {text}", None))
        if known and known.note:
            facts.append(("  about it", known.note, None))
    return facts
