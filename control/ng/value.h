// What an NG message is made of: integers, strings, lists and dictionaries, in bencode or JSON
// (WIRE: NG control protocol). A value type that owns all it holds; no thread of its own.
//
// Dictionaries keep the order in which their keys came or were set. Lookup is as tolerant as the
// peers are: `-`, space and `_` are the same, and so are upper and lower case (`call-id`, `call
// id`, `Call_ID`). When a message repeats a key, the last one counts, as with the peers and most
// JSON parsers, and all are kept in members(). Integers may come as decimal strings and strings as
// integers; integer() and text() bridge the two.
//
// Building a reply:
//   Value reply = Value::dictionary({{"result", "ok"}, {"created", 1700000000}});
//   reply["totals"]["RTP"].set("packets", 12).set("bytes", 2064);
//   reply["tags"][tag]["medias"].add(Value::dictionary({{"index", 1}}));
//
// It does not limit its depth or size: parsers do (bencode.h, json.h), and who builds replies knows
// theirs.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace rtpool::ng {

class Value;
struct Member;

// Whether two keys or flag words are the same to the peers: `-`, space and `_` equal each other,
// case does not count.
bool same_word(std::string_view a, std::string_view b);
// The one spelling that all the same words share: lower case, with `-`.
std::string folded_word(std::string_view word);

class Value {
 public:
  enum class Kind : std::uint8_t { integer, string, list, dictionary };
  using KeyAndValue = std::pair<std::string_view, Value>;

  Value();  // an empty dictionary
  // Unsigned numbers above the signed range, which NG can't carry, become the largest it can.
  template <std::integral Number>
  Value(Number number)  // NOLINT: implicit on purpose
      : Value(tag_integer{}, std::in_range<std::int64_t>(number)
                                 ? static_cast<std::int64_t>(number)
                                 : std::numeric_limits<std::int64_t>::max()) {}
  Value(bool) = delete;          // NG has no booleans: say 0, 1, "yes" or "no"
  Value(std::string text);       // NOLINT: implicit on purpose
  Value(std::string_view text);  // NOLINT
  Value(const char* text);       // NOLINT
  static Value list(std::initializer_list<Value> items = {});
  static Value dictionary(std::initializer_list<KeyAndValue> members = {});

  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();

  [[nodiscard]] Kind kind() const;
  [[nodiscard]] bool is_integer() const { return kind() == Kind::integer; }
  [[nodiscard]] bool is_string() const { return kind() == Kind::string; }
  [[nodiscard]] bool is_list() const { return kind() == Kind::list; }
  [[nodiscard]] bool is_dictionary() const { return kind() == Kind::dictionary; }

  // The number, also of a string that is nothing but one decimal number.
  [[nodiscard]] std::optional<std::int64_t> integer() const;
  // The text, also of an integer, in decimal.
  [[nodiscard]] std::optional<std::string> text() const;
  // The string itself; empty for every other kind.
  [[nodiscard]] std::string_view string() const;
  // The items of a list, the members of a dictionary; empty for every other kind.
  [[nodiscard]] std::span<const Value> items() const;
  [[nodiscard]] std::span<const Member> members() const;

  // The last member of that key (tolerant), or nullptr: also when this is no dictionary.
  [[nodiscard]] const Value* find(std::string_view key) const;
  [[nodiscard]] std::optional<std::string> find_text(std::string_view key) const;
  [[nodiscard]] std::optional<std::int64_t> find_integer(std::string_view key) const;

  // Builders compare keys exactly, since tags and numbers are keys too. set() and operator[] turn
  // anything else into a dictionary, add() into a list. A reference got from operator[] lasts until
  // the dictionary it is in grows.
  Value& operator[](std::string_view key);
  Value& set(std::string_view key, Value value);  // returns *this
  Value& add(Value item);                         // returns *this
  // Adds a member without looking for an equal key: for parsers, and for large dictionaries of
  // distinct keys.
  void append(std::string key, Value value);

  // Removes every member of that key (tolerant). Whether there was one.
  bool erase(std::string_view key);

  bool operator==(const Value& other) const;

 private:
  struct tag_integer {};
  Value(tag_integer, std::int64_t number);

  std::variant<std::int64_t, std::string, std::vector<Value>, std::vector<Member>> data_;
};

struct Member {
  std::string key;
  Value value;
  bool operator==(const Member&) const = default;
};

}  // namespace rtpool::ng
