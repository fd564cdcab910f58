#include "control/ng/value.h"

#include <algorithm>
#include <charconv>

namespace rtpool::ng {
namespace {

char folded(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == ' ' || c == '_' ? '-' : c;
}

}  // namespace

bool same_word(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return folded(x) == folded(y); });
}

std::string folded_word(std::string_view word) {
  std::string result(word);
  std::transform(result.begin(), result.end(), result.begin(), folded);
  return result;
}

Value::Value() : data_(std::vector<Member>()) {}
Value::Value(std::string text) : data_(std::move(text)) {}
Value::Value(std::string_view text) : data_(std::string(text)) {}
Value::Value(const char* text) : data_(std::string(text)) {}
Value::Value(tag_integer, std::int64_t number) : data_(number) {}

Value Value::list(std::initializer_list<Value> items) {
  Value value;
  value.data_ = std::vector<Value>(items);
  return value;
}

Value Value::dictionary(std::initializer_list<KeyAndValue> members) {
  Value value;
  for (const auto& [key, member] : members) value.append(std::string(key), member);
  return value;
}

Value::Value(const Value& other) = default;
Value::Value(Value&& other) noexcept = default;
Value& Value::operator=(const Value& other) = default;
Value& Value::operator=(Value&& other) noexcept = default;
Value::~Value() = default;

Value::Kind Value::kind() const {
  return static_cast<Kind>(data_.index());
}

std::optional<std::int64_t> Value::integer() const {
  if (const auto* number = std::get_if<std::int64_t>(&data_)) return *number;
  const auto* text = std::get_if<std::string>(&data_);
  if (text == nullptr || text->empty()) return std::nullopt;
  std::int64_t number = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

std::optional<std::string> Value::text() const {
  if (const auto* text = std::get_if<std::string>(&data_)) return *text;
  if (const auto* number = std::get_if<std::int64_t>(&data_)) return std::to_string(*number);
  return std::nullopt;
}

std::string_view Value::string() const {
  const auto* text = std::get_if<std::string>(&data_);
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

std::span<const Value> Value::items() const {
  const auto* items = std::get_if<std::vector<Value>>(&data_);
  return items == nullptr ? std::span<const Value>() : std::span<const Value>(*items);
}

std::span<const Member> Value::members() const {
  const auto* members = std::get_if<std::vector<Member>>(&data_);
  return members == nullptr ? std::span<const Member>() : std::span<const Member>(*members);
}

const Value* Value::find(std::string_view key) const {
  const auto all = members();
  for (std::size_t i = all.size(); i-- > 0;) {
    if (same_word(all[i].key, key)) return &all[i].value;
  }
  return nullptr;
}

std::optional<std::string> Value::find_text(std::string_view key) const {
  const Value* value = find(key);
  return value == nullptr ? std::nullopt : value->text();
}

std::optional<std::int64_t> Value::find_integer(std::string_view key) const {
  const Value* value = find(key);
  return value == nullptr ? std::nullopt : value->integer();
}

Value& Value::operator[](std::string_view key) {
  if (!is_dictionary()) data_ = std::vector<Member>();
  auto& members = std::get<std::vector<Member>>(data_);
  const auto found =
      std::find_if(members.begin(), members.end(), [key](const Member& m) { return m.key == key; });
  if (found != members.end()) return found->value;
  members.push_back(Member{std::string(key), Value()});
  return members.back().value;
}

Value& Value::set(std::string_view key, Value value) {
  (*this)[key] = std::move(value);
  return *this;
}

Value& Value::add(Value item) {
  if (!is_list()) data_ = std::vector<Value>();
  std::get<std::vector<Value>>(data_).push_back(std::move(item));
  return *this;
}

void Value::append(std::string key, Value value) {
  if (!is_dictionary()) data_ = std::vector<Member>();
  std::get<std::vector<Member>>(data_).push_back(Member{std::move(key), std::move(value)});
}

bool Value::erase(std::string_view key) {
  auto* members = std::get_if<std::vector<Member>>(&data_);
  if (members == nullptr) return false;
  return std::erase_if(*members, [key](const Member& m) { return same_word(m.key, key); }) > 0;
}

bool Value::operator==(const Value& other) const {
  return data_ == other.data_;
}

}  // namespace rtpool::ng
