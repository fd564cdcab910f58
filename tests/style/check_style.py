#!/usr/bin/python3
"""House rules that a tool can hold, over the sources given by --root.

  dependencies   relay/base <- relay/{media,io,record} <- relay <- control, relay/base <- pool <- control: `#include`
                 lines of a module name only modules it may know; protobuf and gRPC only in *_service, *_codec,
                 *_client; Asio, spdlog and gRPC never in relay/.
  form           `#pragma once` first in headers, lines of at most 100 columns, no tabs, no trailing blanks, files end
                 with one newline, at most 600 lines; no marks of unfinished work.
  words          no path of one machine, no file left by an editor.

Prints one line a finding (file:line: what, and what would be right) and exits with 1 if there is any.
"""
import argparse
import pathlib
import re
import sys

MODULES = {
    "relay/base": set(),
    "relay/media": {"relay/base"},
    "relay/io": {"relay/base"},
    "relay/record": {"relay/base", "relay/media"},
    "relay": {"relay/base", "relay/media", "relay/io", "relay/record"},
    "pool": {"relay/base"},
    "control": {"relay/base", "relay/media", "relay", "pool", "control"},
}
GENERATED = re.compile(r"\.pb\.h$")
PROTOBUF_FILES = re.compile(r"_(service|codec|client)\.(h|cc)$")
FORBIDDEN = {
    "relay": re.compile(r"<(boost/asio|spdlog|grpcpp|google/protobuf|nlohmann|CLI)"),
    "pool": re.compile(r"<(spdlog|CLI|nlohmann)"),
    "relay/media": re.compile(r"<(sys/(?!socket\.h)|liburing|thread|mutex|iostream|cstdio)"),
}
CLOCKS = re.compile(r"steady_clock::now|system_clock::now|clock_gettime|gettimeofday|std::rand\b|random_device")
SANS_IO = ("relay/base/", "relay/media/", "pool/registrar.", "pool/policy.", "pool/handlespace.", "control/sdp/",
           "control/calls/dialogue.", "control/calls/call_manager.")
# Split so that this file does not find itself.
MARKS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(work|farm|home)/[a-z]")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
MAX_COLUMNS, MAX_LINES = 100, 600
SOURCE_FOLDERS = ("relay", "pool", "control", "bench", "tests", "deploy")


def module_of(path):
    for name in sorted(MODULES, key=len, reverse=True):
        if path.startswith(name + "/"):
            return name
    return None


def check_include(path, number, line, report):
    match = INCLUDE.match(line)
    module = module_of(path)
    if not match or module is None:
        return
    quoted, target = match.group(1) == '"', match.group(2)
    for folder, pattern in FORBIDDEN.items():
        if (path.startswith(folder + "/")) and pattern.match("<" + target):
            report(path, number, f"{folder}/ must not know <{target}>")
    if not quoted:
        return
    if GENERATED.search(target):
        if not PROTOBUF_FILES.search(path):
            report(path, number, "generated types stop at *_service, *_codec and *_client files")
        return
    other = module_of(target)
    if other is None:
        report(path, number, f'"{target}" is not a path from the root to a module')
    elif other != module and other not in MODULES[module]:
        report(path, number, f"{module} must not depend on {other}")


def check_file(root, path, report):
    text = (root / path).read_text(encoding="utf-8", errors="replace")
    lines = text.split("\n")
    code = path.endswith((".h", ".cc"))
    if code and not path.startswith("tests/") and len(lines) > MAX_LINES:
        report(path, len(lines), f"more than {MAX_LINES} lines: its design wants another look")
    if path.endswith(".h") and "#pragma once" not in text:
        report(path, 1, "a header has `#pragma once`")
    if text and not text.endswith("\n"):
        report(path, len(lines), "the last line has no end")
    for number, line in enumerate(lines, 1):
        if code:
            check_include(path, number, line, report)
            if len(line) > MAX_COLUMNS:
                report(path, number, f"{len(line)} columns, at most {MAX_COLUMNS}")
            if "\t" in line:
                report(path, number, "a tab; indent by spaces")
            if line != line.rstrip():
                report(path, number, "blanks at the end of the line")
            if path.startswith(SANS_IO) and CLOCKS.search(line):
                report(path, number, "time and chance are inputs here (law 1)")
        if MARKS.search(line):
            report(path, number, "a mark of unfinished work")
        if MACHINE_PATHS.search(line):
            report(path, number, "a path of one machine")


def sources(root):
    endings = (".h", ".cc", ".py", ".proto", ".txt", ".cmake", ".sh", ".cfg", ".toml", ".md")
    for folder in SOURCE_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and name.endswith(endings) and "/corpus/" not in name and "__pycache__" not in name:
                yield name


def self_check():
    """The rules find what they are for: a test of the test."""
    found = []
    report = lambda path, number, what: found.append(what)
    check_include("relay/base/a.h", 1, '#include "relay/media/rtp.h"', report)
    check_include("pool/a.cc", 1, '#include "control/sdp/session.h"', report)
    check_include("relay/media/a.cc", 1, "#include <spdlog/spdlog.h>", report)
    check_include("control/calls/a.h", 1, '#include "control/proto/relay.pb.h"', report)
    check_include("control/calls/a.h", 1, '#include "relay/engine.h"', report)
    return len(found) == 4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    root = parser.parse_args().root
    findings = []
    if not self_check():
        findings.append("check_style.py: its own rules no longer find what they are for")
    count = 0
    for path in sources(root):
        count += 1
        check_file(root, path, lambda where, number, what: findings.append(f"{where}:{number}: {what}"))
    print("\n".join(findings))
    print(f"{count} files, {len(findings)} findings")
    return 1 if findings or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
