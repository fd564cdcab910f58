#include "bench/main/commands.h"

#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iostream>
#include <map>

namespace rtpool::bench {

void add_relay_options(CLI::App& command, ContenderOptions& options) {
  options.rtpool = beside_this_program("rtpool");
  command.add_option("--rtpool", options.rtpool, "the program rtpool (default: beside this one)");
  command.add_option("--baseline", options.baseline_rtpool,
                     "another build of the program rtpool, for `baseline`");
  command.add_option("--rtpengine", options.rtpengine, "the program rtpengine")
      ->capture_default_str();
  command
      .add_option("--rtpool-argument", options.rtpool_arguments,
                  "added to rtpool's command line; may be given several times, as in "
                  "--rtpool-argument=--batch-window=1ms")
      ->allow_extra_args(false);
  command
      .add_option("--rtpengine-argument", options.rtpengine_arguments,
                  "added to rtpengine's command line; may be given several times")
      ->allow_extra_args(false);
  const std::map<std::string, ng::Encoding> encodings{{"bencode", ng::Encoding::bencode},
                                                      {"json", ng::Encoding::json}};
  command.add_option("--ng-encoding", options.encoding, "of requests to the relay")
      ->default_str("bencode")
      ->transform(CLI::CheckedTransformer(encodings));
  command.add_option("--relay-core", options.core, "core that the relay is pinned to; -1: none")
      ->capture_default_str()
      ->check(CLI::Range(-1, 1023));
  command.add_option("--threads", options.threads, "rtpool's shards, rtpengine's --num-threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
}

ProgressLine::ProgressLine() : terminal_(isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
  if (shown_) std::cerr << "\r\033[K" << std::flush;
}

void ProgressLine::show(const std::string& what) {
  if (!terminal_) return;
  shown_ = true;
  std::cerr << "\r  " << what << "\033[K" << std::flush;
}

bool write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (file) return true;
  std::cerr << "rtpool-bench: " << path << ": " << std::strerror(errno) << '\n';
  return false;
}

}  // namespace rtpool::bench
