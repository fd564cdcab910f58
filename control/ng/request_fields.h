// How each key and flag of an NG request becomes a field of Request. Internal to request.cc;
// separate for its size.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/ng/request.h"

namespace rtpool::ng {

// Fills a Request key by key, in the order of the message. A value that can't be used is noted in
// Request::ignored; only what would be dangerous to guess at is an error.
class RequestFields {
 public:
  explicit RequestFields(Request& request) : request_(request) {}

  // One key of the dictionary. Unknown keys are ignored.
  Error apply(std::string_view key, const Value& value);
  // What flags imply together, once all are known.
  void finish();

 private:
  struct Handler;

  Error apply_structured(std::string_view key, const Value& value);
  // A name of some kind: no control characters. bytes() is for what may hold any.
  Error text(std::string_view key, const Value& value, std::string& out, std::size_t max_bytes);
  Error bytes(std::string_view key, const Value& value, std::string& out, std::size_t max_bytes);
  Error flags(const Value& value);
  Error flag(std::string_view word);
  Error rtpp_flags(const Value& value);
  Error rtpp_flag(std::string_view key, const Value* value);
  bool transport_word(std::string_view word);
  Error words(std::string_view key, const Value& value, FlagSet& out);
  // Words that have no field of their own become flags: BUNDLE [accept] is the flag BUNDLE-accept.
  Error prefixed(std::string_view prefix, const Value& value);
  Error codec(const Value& value);
  Error ice(const Value& value);
  Error dtls(const Value& value);
  Error direction(const Value& value);
  Error interface(const Value& value, bool towards_recipient);
  Error received_from(const Value& value);
  Error address_family(const Value& value);
  Error media_address(const Value& value);
  Error transport(const Value& value);
  Error record_call(const Value& value);
  Error all(const Value& value);
  Error limit(const Value& value);
  template <class Integer>
  Error number(std::string_view key, const Value& value, std::optional<Integer>& out);
  void add_codec(std::vector<std::string>& list, std::string_view name);
  void insert(std::string_view key, std::string_view word, FlagSet& set);
  bool usable_word(std::string_view key, std::string_view word);
  void ignore(std::string_view key, std::string_view why);

  Request& request_;
  bool in_rtpp_flags_ = false;
  std::size_t directions_ = 0;    // `direction=` words seen in rtpp-flags
  bool transport_words_ = false;  // RTP, SRTP, AVP, AVPF, DTLS as single words in rtpp-flags
  bool secure_ = false, feedback_ = false, dtls_ = false;
};

}  // namespace rtpool::ng
