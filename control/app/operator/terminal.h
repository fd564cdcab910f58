// What the operator's commands print: tables whose columns line up, in colour on a terminal alone.
//
// Call-IDs, tags, names and errors come from the network, so all text goes through printable():
// what could drive a terminal or turn its writing around never reaches it. Pure functions but for
// those of the terminal itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/time.h"

namespace rtpool::control {

// UTF-8 without control characters (C0, C1, DEL) and without those that change the direction of
// writing or hide; each of these, and each octet that is not UTF-8, becomes '?'.
std::string printable(std::string_view text);

enum class Colour : std::uint8_t { plain, dim, bold, green, yellow, red };

struct Cell {
  std::string text;  // made printable by the table; "" is shown as "-"
  Colour colour = Colour::plain;

  Cell() = default;
  Cell(std::string t, Colour c = Colour::plain) : text(std::move(t)), colour(c) {}  // NOLINT
  Cell(const char* t) : text(t) {}                                                  // NOLINT
};

class Table {
 public:
  enum class Align : std::uint8_t { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<Cell> row);
  [[nodiscard]] std::size_t rows() const { return rows_.size(); }
  // Columns as wide as their widest cell, two spaces between; lines of the table, without line
  // ends. The first is the titles.
  [[nodiscard]] std::vector<std::string> lines(bool colours) const;
  [[nodiscard]] std::string text(bool colours) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

std::string painted(std::string_view text, Colour colour, bool colours);

// Whether standard output is a terminal, and whether it is to be coloured: not where NO_COLOR says
// otherwise (no-color.org) nor where TERM is dumb.
bool is_terminal();
bool colours_wanted();
// Lines of the terminal, 24 where it does not say.
std::size_t terminal_lines();

// "1 call", "12 calls".
std::string counted(std::uint64_t count, std::string_view noun);
// "37.5%" of a share of 0 to 1.
std::string percent(double share);
// "5 ms", "12 s", "3 min", "2 h": whole, rounded down.
std::string rough(Duration duration);

}  // namespace rtpool::control
