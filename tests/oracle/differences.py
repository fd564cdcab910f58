"""The differences from rtpengine that are meant, each with its reason. A rule takes out of both descriptions what it
explains, and nothing else; what is left must be equal."""

import re

RULES = {
    "ice-lite": "we are a lite ICE agent (RFC 8445, 2.5) and say so, rtpengine is a full one unless told otherwise",
    "one-candidate": "one address per m= line: its socket's; rtpengine lists every address of the interface",
    "srtp-end-to-end": "SRTP is not ended here: keys and fingerprints pass as the parties wrote them, in their place",
    "line-end": "new lines end as the description's own lines do; rtpengine writes CRLF into an LF description",
    "cut-line": "a description whose last line is not ended gets its end before lines are added, not after",
    "rejected-kept": "a section with port 0 keeps its codec, packet time and direction lines byte for byte",
    "every-fmtp": "every a=fmtp of a format is kept, rtpengine keeps the last one",
    "tail-kept": "what follows the description's blank line is kept, rtpengine cuts it off",
    "tcp-left-alone": "a TCP section goes past a media relay; rtpengine puts UDP ports of its own into it",
    "ice-ended-here": "ICE=optional ends ICE here: a candidate beside the party's own could lead media around us",
    "mux-fallback": "an offer repeated before its answer keeps its RTCP port; rtpengine takes it for agreed",
    "one-channel": "an encoding's `/1` for one channel stays as it was written, rtpengine drops it",
    "section-direction": "a section's own direction overrides the session's (RFC 8866, 6.7); rtpengine mixes the two up",
    "session-trickle": "a=ice-options at session level counts as well (RFC 8839, 5.6); rtpengine looks in sections only",
    "answer-parameters": "an answer's a=fmtp are the answerer's; rtpengine writes the offer's for telephone-event",
    "fork-codec": "each branch answers in its own codecs; rtpengine would transcode to those of the first to answer",
    "needs-srtp": "a change between plain and secure RTP is refused: SRTP is not ended here in this version",
    "static-l16": "payload types 10 and 11 as in RFC 3551, 6 (10 is stereo); rtpengine has them the other way round",
    "port-count": "one pair of ports per m= line: no consecutive ports for layered coding (RFC 8866, 5.14)",
}


class Context:
    def __init__(self, step, history, expected_raw, actual_raw, expected, actual):
        self.step = step
        self.history = history  # the descriptions sent so far, this one too
        self.expected_raw, self.actual_raw = expected_raw, actual_raw
        self.expected, self.actual = list(expected), list(actual)


def sections(lines):
    """The session's lines, then those of each m= section."""
    parts = [[]]
    for line in lines:
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    return parts


def join(parts):
    return [line for part in parts for line in part]


def raw_rules(step, expected_raw, actual_raw):
    return "\r\n" not in step.sdp and expected_raw != actual_raw


def line_end(c):
    """Only the ends differ, and ours are all those of the input."""
    return "\r\n" not in c.step.sdp and "\r" in c.expected_raw and "\r" not in c.actual_raw


def ice_lite(c):
    if "a=ice-lite" in c.actual and "a=ice-lite" not in c.expected and any(
            line.startswith("a=ice-ufrag") for line in c.actual):
        c.actual.remove("a=ice-lite")
        return True
    return False


def one_candidate(c):
    parts, ours = sections(c.expected), sections(c.actual)
    if len(parts) != len(ours):
        return False
    found = False
    for i, part in enumerate(parts):
        kept = [l for l in part if not l.startswith("a=candidate:") or l in ours[i]]
        if any(l.startswith("a=candidate:") for l in kept) and kept != part:
            parts[i], found = kept, True
    c.expected = join(parts)
    return found


KEYS = re.compile(r"a=(crypto|fingerprint|setup):")


def srtp_end_to_end(c):
    given = [l for l in c.step.sdp.replace("\r", "").split("\n") if KEYS.match(l)]
    if not given and not any(KEYS.match(l) for l in c.expected):
        return False
    if [l for l in c.actual if KEYS.match(l)] != given:
        return False  # ours must be the party's own, all of them
    found = [l for l in c.expected if KEYS.match(l)] != given or c.expected != c.actual
    c.expected = [l for l in c.expected if not KEYS.match(l)]
    c.actual = [l for l in c.actual if not KEYS.match(l)]
    return found


def cut_line(c):
    if c.step.sdp.endswith("\n"):
        return False
    last = c.step.sdp.split("\n")[-1]
    for i, line in enumerate(c.expected):
        if line.startswith(last) and line != last:
            c.expected[i:i + 1] = [last, line[len(last):]]
            return True
    return False


CODEC = re.compile(r"a=(rtpmap|fmtp|rtcp-fb|ptime|sendrecv|sendonly|recvonly|inactive)\b")


def rejected_kept(c):
    parts, ours, given = sections(c.expected), sections(c.actual), sections(c.step.sdp.replace("\r", "").split("\n"))
    if not len(parts) == len(ours) == len(given):
        return False
    found = False
    for i in range(1, len(parts)):
        if not re.match(r"m=\S+ 0 ", ours[i][0]) or parts[i] == ours[i]:
            continue
        if [l for l in ours[i] if CODEC.match(l)] == [l for l in given[i] if CODEC.match(l)]:
            ours[i] = [l for l in ours[i] if not CODEC.match(l)]
            parts[i] = [l for l in parts[i] if not CODEC.match(l)]
            found = True
    c.expected, c.actual = join(parts), join(ours)
    return found


def every_fmtp(c):
    extra = [l for l in c.actual if l.startswith("a=fmtp:") and l not in c.expected and l in c.step.sdp]
    for line in extra:
        number = line.split(" ")[0]
        if any(l.startswith(number + " ") for l in c.expected):
            c.actual.remove(line)
        else:
            return False
    return bool(extra)


def tail_kept(c):
    _, blank, tail = c.step.sdp.replace("\r", "").partition("\n\n")
    lines = tail.rstrip("\n").split("\n")
    if blank and c.actual[-len(lines) - 1:] == ["", *lines]:
        c.actual = c.actual[:-len(lines) - 1]
        return True
    return False


def tcp_left_alone(c):
    given = sections(c.step.sdp.replace("\r", "").rstrip("\n").split("\n"))
    parts, ours = sections(c.expected), sections(c.actual)
    raw = sections(c.actual_raw.replace("\r", "").rstrip("\n").split("\n"))
    if not len(parts) == len(ours) == len(given):
        return False
    found = False
    for i in range(1, len(parts)):
        if re.match(r"m=\S+ \d+ TCP", given[i][0]) and parts[i] != ours[i] and raw[i] == given[i]:
            parts[i] = ours[i] = given[i]
            found = True
    c.expected, c.actual = join(parts), join(ours)
    return found


def ice_ended_here(c):
    if c.step.options.get("ICE") not in ("optional", "force-relay") or "a=ice-ufrag" not in c.step.sdp:
        return False
    ice = re.compile(r"a=(ice-|candidate:|rtcp:)")
    if len([l for l in c.actual_raw.split("\n") if l.startswith("a=candidate")]) > 2:
        return False
    c.expected = [l for l in c.expected if not ice.match(l)]
    c.actual = [l for l in c.actual if not ice.match(l)]
    return True


def mux_fallback(c):
    found = False
    if c.step.kind != "offer" or c.step.reoffer or "a=rtcp-mux" not in c.step.sdp:
        return False
    for i, (theirs, ours) in enumerate(zip(c.expected, c.actual)):
        if theirs == "a=rtcp:PORT+0" and ours == "a=rtcp:PORT+1":
            c.expected[i] = ours
            found = True
    return found


def replace_lines(c, fits):
    """Makes their line ours wherever `fits(theirs, ours)` says that it is explained."""
    if len(c.expected) != len(c.actual):
        return False
    found = False
    for i, (theirs, ours) in enumerate(zip(c.expected, c.actual)):
        if theirs != ours and fits(theirs, ours):
            c.expected[i], found = ours, True
    return found


def one_channel(c):
    found = False
    for i, theirs in enumerate(c.expected):
        if theirs.startswith("a=rtpmap:") and theirs + "/1" in c.actual and theirs + "/1" in c.step.sdp:
            c.expected[i], found = theirs + "/1", True
    return found


def section_direction(c):
    directions = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"]
    given = sections(c.step.sdp.replace("\r", "").split("\n"))
    parts, ours = sections(c.expected), sections(c.actual)
    session = [l for l in given[0] if l in directions]
    if not session or not len(parts) == len(ours) == len(given):
        return False
    found = False
    for i in range(1, len(parts)):
        own = [l for l in given[i] if l in directions]
        if own and own != session and [l for l in ours[i] if l in directions] == own:
            swapped = [own[0] if l in directions else l for l in parts[i]]
            found = found or swapped != parts[i]
            parts[i] = swapped
    c.expected = join(parts)
    return found


def session_trickle(c):
    if not any("a=ice-options:trickle" in sdp.split("m=")[0] for sdp in c.history):
        return False
    if any(l == "a=ice-options:trickle" for l in c.expected):
        return False
    # Not seeing the trickle, it takes the address 0.0.0.0 of a trickling agent for hold.
    held = "c=IN IP4 0.0.0.0" in c.step.sdp and replace_lines(
        c, lambda theirs, ours: (theirs, ours) == ("a=sendonly", "a=sendrecv"))
    before = len(c.actual)
    had_end = "a=end-of-candidates" in c.expected
    c.actual = [l for l in c.actual
                if l != "a=ice-options:trickle" and (had_end or l != "a=end-of-candidates")]
    return held or len(c.actual) != before


def answer_parameters(c):
    if c.step.kind != "answer":
        return False
    events = re.findall(r"a=rtpmap:(\d+) telephone-event", c.step.sdp)
    extra = [l for l in c.expected if l not in c.actual and l not in c.step.sdp
             and l.split(" ")[0] in [f"a=fmtp:{n}" for n in events] and l in "".join(c.history)]
    c.expected = [l for l in c.expected if l not in extra]
    return bool(extra)


def fork_codec(c):
    if c.step.kind != "answer" or c.step.answerer in ("a", "b"):
        return False
    codec = re.compile(r"a=rtpmap:|m=")
    given = {l.split(" ")[-1] for l in c.step.sdp.replace("\r", "").split("\n") if l.startswith("m=")}
    if not all(l.split(" ")[-1] in given for l in c.actual if l.startswith("m=")):
        return False
    return replace_lines(c, lambda theirs, ours: bool(codec.match(theirs) and codec.match(ours)))


def needs_srtp(c):
    wanted = c.step.options.get("transport-protocol", "")
    given = re.findall(r"^m=\S+ \d+ (\S+)", c.step.sdp, re.M)
    if c.actual == ["error"] and wanted and any(("SAVP" in wanted) != ("SAVP" in p) for p in given):
        c.expected = ["error"]
        return True
    return False


def static_l16(c):
    right = {"a=rtpmap:10 L16/44100/2", "a=rtpmap:11 L16/44100"}
    return replace_lines(c, lambda theirs, ours: theirs[:12] == ours[:12] and ours in right)


def port_count(c):
    found = False
    for i, theirs in enumerate(c.expected):
        single = re.sub(r"^(m=\S+ PORT)/\d+ ", r"\1 ", theirs)
        if single != theirs:
            c.expected[i], found = single, True
    return found


CHECKS = {
    "line-end": line_end, "cut-line": cut_line, "tail-kept": tail_kept, "tcp-left-alone": tcp_left_alone,
    "srtp-end-to-end": srtp_end_to_end, "ice-lite": ice_lite, "ice-ended-here": ice_ended_here,
    "one-candidate": one_candidate, "rejected-kept": rejected_kept, "every-fmtp": every_fmtp,
    "mux-fallback": mux_fallback, "one-channel": one_channel, "section-direction": section_direction,
    "session-trickle": session_trickle, "answer-parameters": answer_parameters, "fork-codec": fork_codec,
    "needs-srtp": needs_srtp, "static-l16": static_l16, "port-count": port_count,
}


def explain(context):
    """Applies the rules to the context; gives the names of those that explained something."""
    return [name for name, check in CHECKS.items() if check(context)]
