#include "pool/registrar_notice.h"

#include <chrono>
#include <string_view>

namespace rtpool::pool {
namespace {

std::string_view text_of(Registrar::Notice::What what) {
  using What = Registrar::Notice::What;
  switch (what) {
    case What::joined:
      return "joined";
    case What::returned:
      return "is back";
    case What::left:
      return "left";
    case What::stream_ended:
      return "lost its stream";
    case What::dead:
      return "is dead";
    case What::panic_began:
      return "more than half the pool is silent: keeping all of it";
    case What::panic_ended:
      return "the pool is heard again";
    case What::damped:
      return "dies again and again: the last resort for the next ";
    case What::undamped:
      return "gets calls again as others do";
  }
  return "";
}

}  // namespace

std::string describe(const Registrar::Notice& notice) {
  std::string text = "pool '" + notice.pool + "': ";
  if (!notice.element.empty()) text += "'" + notice.element + "' ";
  text.append(text_of(notice.what));
  if (notice.what == Registrar::Notice::What::damped) {
    text += std::to_string(std::chrono::ceil<std::chrono::seconds>(notice.hold).count()) + " s";
  }
  return text;
}

bool is_warning(const Registrar::Notice& notice) {
  using What = Registrar::Notice::What;
  return notice.what == What::dead || notice.what == What::panic_began ||
         notice.what == What::damped;
}

}  // namespace rtpool::pool
