#include "control/app/operator/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "relay/base/assert.h"

namespace rtpool::control {
namespace {

constexpr std::size_t kUsualLines = 24;

// A character and how many octets it takes; 0 where the octets are not UTF-8 (RFC 3629).
struct Character {
  char32_t code = 0;
  std::size_t octets = 0;
};

Character next_character(std::string_view text) {
  const auto octet = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char first = octet(0);
  if (first < 0x80) return {first, 1};
  const std::size_t octets = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (octets == 0 || first > 0xf4 || text.size() < octets) return {};
  char32_t code = first & (0xffU >> (octets + 1));
  for (std::size_t i = 1; i < octets; ++i) {
    if ((octet(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (octet(i) & 0x3f);
  }
  static constexpr std::array<char32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[octets] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
  return {code, octets};
}

bool is_harmless(char32_t code) {
  if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
  // Marks and overrides of direction, separators of lines and paragraphs, and what has no width.
  return code != 0xad && code != 0x61c && code != 0xfeff && !(code >= 0x200b && code <= 0x200f) &&
         !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2060 && code <= 0x206f);
}

// Columns on the terminal, taking every character for one wide. Of printable text.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string_view sequence_of(Colour colour) {
  switch (colour) {
    case Colour::plain:
      return "";
    case Colour::dim:
      return "\x1b[2m";
    case Colour::bold:
      return "\x1b[1m";
    case Colour::green:
      return "\x1b[32m";
    case Colour::yellow:
      return "\x1b[33m";
    case Colour::red:
      return "\x1b[31m";
  }
  return "";
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character character = next_character(text);
    const std::size_t octets = std::max<std::size_t>(character.octets, 1);
    if (character.octets > 0 && is_harmless(character.code)) {
      out += text.substr(0, octets);
    } else {
      out += '?';
    }
    text.remove_prefix(octets);
  }
  return out;
}

std::string painted(std::string_view text, Colour colour, bool colours) {
  if (!colours || colour == Colour::plain) return std::string(text);
  return std::string(sequence_of(colour)) + std::string(text) + "\x1b[0m";
}

void Table::add(std::vector<Cell> row) {
  RTPOOL_ASSERT(row.size() == columns_.size());
  for (Cell& cell : row) cell.text = cell.text.empty() ? "-" : printable(cell.text);
  rows_.push_back(std::move(row));
}

std::vector<std::string> Table::lines(bool colours) const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(width_of(column.title));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], width_of(row[i].text));
  }
  std::vector<std::string> out;
  const auto add_line = [&](auto cell_at) {
    std::string line;
    std::string gap;  // kept back, so that no line ends in spaces
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const Cell& cell = cell_at(i);
      const std::string space(widths[i] - width_of(cell.text), ' ');
      const bool right = columns_[i].align == Align::right;
      line += gap + (right ? space : "") + painted(cell.text, cell.colour, colours);
      gap = (right ? "" : space) + "  ";
    }
    out.push_back(std::move(line));
  };
  std::vector<Cell> titles;
  for (const Column& column : columns_) titles.emplace_back(column.title, Colour::dim);
  add_line([&](std::size_t i) -> const Cell& { return titles[i]; });
  for (const auto& row : rows_) add_line([&](std::size_t i) -> const Cell& { return row[i]; });
  return out;
}

std::string Table::text(bool colours) const {
  std::string out;
  for (const auto& line : lines(colours)) out += line + "\n";
  return out;
}

bool is_terminal() {
  return ::isatty(STDOUT_FILENO) == 1;
}

bool colours_wanted() {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return is_terminal() && !dumb && (no_colour == nullptr || *no_colour == '\0');
}

std::size_t terminal_lines() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return kUsualLines;
  return size.ws_row;
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string percent(double share) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f%%", 100.0 * share);
  return text.data();
}

std::string rough(Duration duration) {
  using std::chrono::duration_cast;
  const auto ms = duration_cast<std::chrono::milliseconds>(duration).count();
  if (ms < 1000) return std::to_string(std::max<std::int64_t>(ms, 0)) + " ms";
  const auto s = ms / 1000;
  if (s < 120) return std::to_string(s) + " s";
  if (s < 7200) return std::to_string(s / 60) + " min";
  return s < 172'800 ? std::to_string(s / 3600) + " h" : std::to_string(s / 86'400) + " d";
}

}  // namespace rtpool::control
