#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
"""Does a recording carry a given speech, from its first word to its last?

The recording is laid over the reference by its loudness in steps of 10 ms and then by single
samples. Every quarter second of the reference in which somebody speaks must then be found in
the recording with a normalised correlation of at least CHUNK_ALIKE. Loudness alone would take one
text for another of the same rhythm; samples do not.
"""

import argparse
import array
import math
import operator
import random
import sys
import wave

RATE = 8000
STEP = RATE // 100  # samples of one loudness value
CHUNK = RATE // 4  # samples that are compared at once
FRAME = RATE // 50  # samples of one RTP packet: a lost packet shifts what follows by as much
FRAMES_LOST_MAX = 10
CHUNK_ALIKE = 0.9  # A-law leaves 0.999; other texts, noise and silence stay near 0.5 at most
MISSING_MAX = 1  # chunks: what one lost packet costs; the first chunk may never be missing


def wav_read(path):
    """The samples of a mono 16-bit WAV file; none if nothing was ever recorded in it."""
    try:
        with wave.open(path, "rb") as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE):
                raise ValueError(f"{path}: not mono 16-bit at {RATE} Hz")
            # A recorder that was killed leaves a length of 0 or of 2^32: take what is there.
            return samples_read(file.readframes(file.getnframes()))
    except (EOFError, FileNotFoundError, wave.Error):
        return []


def samples_read(octets):
    samples = array.array("h", octets[: len(octets) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tolist()


def wav_write(path, samples):
    octets = array.array("h", samples)
    if sys.byteorder == "big":
        octets.byteswap()
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(octets.tobytes())


def dot(a, b):
    return sum(map(operator.mul, a, b))


def alike(a, b):
    """Normalised correlation, 1 for equal up to loudness; silence is like nothing."""
    power = dot(a, a) * dot(b, b)
    return dot(a, b) / math.sqrt(power) if power else 0.0


def loudness(samples):
    """Mean magnitude per step of 10 ms, without its average."""
    steps = [
        sum(map(abs, samples[i : i + STEP])) / STEP for i in range(0, len(samples) - STEP + 1, STEP)
    ]
    mean = sum(steps) / len(steps) if steps else 0
    return [step - mean for step in steps]


def cut(samples, start, size):
    """Samples [start, start + size), zeros where there are none."""
    head = [0] * max(0, min(size, -start))
    body = samples[max(0, start) : max(0, start + size)]
    return head + body + [0] * (size - len(head) - len(body))


def chunks_spoken(reference):
    """Where the chunks of the reference begin in which somebody speaks, and the loudest chunk."""
    starts = range(0, len(reference) - CHUNK + 1, CHUNK)
    chunks = {start: reference[start : start + CHUNK] for start in starts}
    power = {start: dot(chunk, chunk) for start, chunk in chunks.items()}
    least = 0.05 * sum(power.values()) / len(power) if power else 0
    return [start for start in starts if power[start] > least], max(power, key=power.get, default=0)


def offset_find(reference, loudest, recording):
    """Where in the recording the reference begins, most likely; may be before its start."""
    ours, theirs = loudness(reference), loudness(recording)
    reach = len(ours) // 2
    likeness = {
        lag: dot(ours, cut(theirs, lag, len(ours)))
        for lag in range(-reach, len(theirs) - len(ours) + reach + 1)
    }
    near = max(likeness, key=likeness.get, default=0) * STEP
    sample = reference[loudest : loudest + CHUNK]
    offsets = range(near - 2 * STEP, near + 2 * STEP + 1)
    return max(offsets, key=lambda offset: alike(sample, cut(recording, offset + loudest, CHUNK)))


def chunk_heard(chunk, place, recording):
    """Whether the chunk is at this place, or where lost packets would have moved it."""
    for lost in sorted(range(-FRAMES_LOST_MAX, FRAMES_LOST_MAX + 1), key=abs):
        if alike(chunk, cut(recording, place + lost * FRAME, CHUNK)) >= CHUNK_ALIKE:
            return True
    return False


def heard_measure(reference, recording):
    """The share of the speech that the recording carries, and whether that is all of it."""
    spoken, loudest = chunks_spoken(reference)
    if not spoken or not recording:
        return 0.0, False
    offset = offset_find(reference, loudest, recording)
    heard = [
        start
        for start in spoken
        if chunk_heard(reference[start : start + CHUNK], start + offset, recording)
    ]
    complete = spoken[0] in heard and len(spoken) - len(heard) <= MISSING_MAX
    return len(heard) / len(spoken), complete


def recordings_false(reference, other):
    """What must never pass for the reference."""
    noise = random.Random(1)
    level = int(sum(map(abs, reference)) / len(reference)) + 1
    return {
        "nothing": [],
        "silence": [0] * len(reference),
        "noise": [noise.randint(-2 * level, 2 * level) for _ in reference],
        "another text": other,
        "its first half": reference[: len(reference) // 2],
        "its first half second missing": cut(reference, RATE // 2, len(reference)),
        "the text backwards": reference[::-1],
    }


def recordings_true(reference, other):
    """What must pass: late, quiet, and after somebody else."""
    return {
        "the text itself": reference,
        "the text, later and quieter": [0] * 1234 + [sample // 3 for sample in reference],
        "the text after another": other + reference,
        "the text with one packet lost": reference[: RATE * 2] + reference[RATE * 2 + FRAME :],
    }


def self_test(reference, other):
    """Print how every kind of recording is judged; returns those judged wrong."""
    wrong = []
    for wanted, recordings in (
        (True, recordings_true(reference, other)),
        (False, recordings_false(reference, other)),
    ):
        for name, recording in recordings.items():
            share, judged = heard_measure(reference, recording)
            print(f"    {name:32} {share:6.1%} heard: {'accepted' if judged else 'rejected'}")
            if judged != wanted:
                wrong.append(name)
    return wrong


def main():
    parser = argparse.ArgumentParser(description="compare recordings with the speech that was sent")
    parser.add_argument(
        "--self-test", metavar="OTHER", help="judge true and false recordings of REFERENCE"
    )
    parser.add_argument(
        "--cut", nargs=2, metavar=("SECONDS", "OUT"), help="cut REFERENCE to this length"
    )
    parser.add_argument("reference")
    parser.add_argument("recording", nargs="*")
    args = parser.parse_args()
    reference = wav_read(args.reference)
    if args.cut:
        wav_write(args.cut[1], reference[: int(float(args.cut[0]) * RATE)])
        return 0
    if args.self_test:
        wrong = self_test(reference, wav_read(args.self_test))
        for name in wrong:
            print(f"speech.py: judged wrong: {name}", file=sys.stderr)
        return 1 if wrong else 0
    missing = 0
    for path in args.recording:
        share, complete = heard_measure(reference, wav_read(path))
        print(f"{path}: {share:.1%} heard")
        missing += not complete
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
