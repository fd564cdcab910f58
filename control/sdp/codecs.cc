#include "control/sdp/codecs.h"

#include <algorithm>
#include <string_view>

#include "control/sdp/text.h"

namespace rtpool::sdp {
namespace {

// "opus" names opus/48000/2, and so do "opus/48000" and "opus/48000/2"; one channel may go unsaid.
bool names(std::string_view rule, std::string_view encoding) {
  if (same_without_case(rule, encoding)) return true;
  if (rule.size() < encoding.size() && encoding[rule.size()] == '/') {
    return same_without_case(rule, encoding.substr(0, rule.size()));
  }
  return rule.size() == encoding.size() + 2 && rule.substr(encoding.size()) == "/1" &&
         std::count(encoding.begin(), encoding.end(), '/') == 1 &&
         same_without_case(rule.substr(0, encoding.size()), encoding);
}

bool named_by(const std::vector<std::string>& rules, std::string_view encoding) {
  return std::any_of(rules.begin(), rules.end(),
                     [&](const std::string& rule) { return names(rule, encoding); });
}

bool has(const std::vector<CodecTerms>& codecs, std::uint8_t payload_type) {
  return std::any_of(codecs.begin(), codecs.end(),
                     [&](const CodecTerms& codec) { return codec.payload_type == payload_type; });
}

}  // namespace

std::vector<CodecTerms> to_terms(const std::vector<Codec>& codecs) {
  std::vector<CodecTerms> terms;
  terms.reserve(codecs.size());
  for (const Codec& codec : codecs) {
    if (has(terms, codec.payload_type)) continue;  // named twice on the m= line
    terms.push_back({.payload_type = codec.payload_type,
                     .encoding = std::string(codec.encoding),
                     .fmtp = {codec.fmtp.begin(), codec.fmtp.end()},
                     .feedback = {codec.feedback.begin(), codec.feedback.end()}});
  }
  return terms;
}

std::vector<CodecTerms> apply_rules(const std::vector<CodecTerms>& codecs,
                                    const CodecRules& rules) {
  const auto every = [](const std::string& rule) { return rule == "all" || rule == "full"; };
  const bool all = std::any_of(rules.strip.begin(), rules.strip.end(), every);
  std::vector<CodecTerms> kept;
  for (const CodecTerms& codec : codecs) {
    const bool stripped =
        named_by(rules.strip, codec.encoding) || (all && !named_by(rules.except, codec.encoding));
    if (!stripped) kept.push_back(codec);
  }
  for (const std::string& rule : rules.offer) {
    const bool present = std::any_of(kept.begin(), kept.end(), [&](const CodecTerms& codec) {
      return names(rule, codec.encoding);
    });
    if (present) continue;
    for (const CodecTerms& codec : codecs) {
      if (names(rule, codec.encoding) && !has(kept, codec.payload_type)) kept.push_back(codec);
    }
  }
  return kept.empty() ? codecs : kept;
}

std::vector<CodecTerms> keep_offered(const std::vector<CodecTerms>& answered,
                                     const std::vector<std::uint8_t>& offered) {
  std::vector<CodecTerms> kept;
  for (const CodecTerms& codec : answered) {
    if (std::find(offered.begin(), offered.end(), codec.payload_type) != offered.end()) {
      kept.push_back(codec);
    }
  }
  return kept.empty() ? answered : kept;
}

}  // namespace rtpool::sdp
