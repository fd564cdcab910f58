"""Speech for the phones of a test: made here, the same each time, in A-law (PCMA, 8000 Hz).

It is no word of any language, but it is shaped like one: a voice whose pitch moves, vowels made of
three formants, and short pauses. Every 20 ms packet of it is different, so that a lost, repeated,
swapped or foreign packet shows in what is heard.
"""

import math

RATE = 8000
PACKET = 160  # bytes of A-law in 20 ms

VOWELS = {  # formants in Hz
    "a": (730, 1090, 2440), "e": (530, 1840, 2480), "i": (270, 2290, 3010), "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}


def speech(words, seconds, pitch_hz):
    """`seconds` of A-law; `words` are vowels, spoken in turn, with a space for a pause."""
    samples = []
    phase = 0.0
    memory = [[0.0, 0.0] for _ in range(3)]
    syllable = RATE // 5
    for n in range(int(seconds * RATE)):
        letter = words[n // syllable % len(words)]
        within = n % syllable / syllable
        phase += pitch_hz * (1.0 + 0.15 * math.sin(2 * math.pi * n / RATE / 1.7)) / RATE
        pulse = 0.0
        if phase >= 1.0:
            phase -= 1.0
            pulse = 1.0 if letter != " " else 0.0
        breath = ((n * 1103515245 + 12345) >> 8 & 0xFFFF) / 0xFFFF - 0.5
        out = 0.01 * breath
        for at, formant in enumerate(VOWELS.get(letter, VOWELS["a"])):
            out += _resonate(memory[at], pulse + 0.002 * breath, formant, 80.0) / (at + 1)
        samples.append(out * math.sin(math.pi * min(max(within, 0.02), 0.98)))
    loudest = max(abs(s) for s in samples)
    return bytes(alaw(int(s / loudest * 20000)) for s in samples)


def _resonate(memory, value, formant_hz, width_hz):
    radius = math.exp(-math.pi * width_hz / RATE)
    turn = 2 * radius * math.cos(2 * math.pi * formant_hz / RATE)
    out = value + turn * memory[0] - radius * radius * memory[1]
    memory[1], memory[0] = memory[0], out
    return out


def alaw(sample):
    """One 16-bit sample after G.711."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min((sample if sample >= 0 else -sample - 1) >> 3, 4095)
    if magnitude < 32:
        code = magnitude >> 1
    else:
        exponent = magnitude.bit_length() - 5
        code = exponent << 4 | magnitude >> exponent & 0x0F
    return (sign | code) ^ 0x55


def clips():
    """Every clip that the scenarios play, by name."""
    short = speech("aeiou oa", 2.0, 118)
    return {
        "caller": speech("aei ou ieao uai", 6.0, 118),
        "callee": speech("oui aeo iau eo ", 6.0, 201),
        "short": short,
        "reply": speech("iouea ei", 2.0, 201),
        "music": speech("ouououou", 2.0, 392),
        "early": speech("uuaauuaa", 2.0, 425),
    }


def packets(clip):
    return [clip[at:at + PACKET] for at in range(0, len(clip), PACKET)]


def loudness(clip):
    """The share of the clip that is not near silence: 0 for dead air."""
    return sum(1 for byte in clip if (byte ^ 0x55) & 0x7F > 16) / len(clip)
