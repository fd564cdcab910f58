// Result<T>: the outcome of an operation that may fail for a reason outside this program's control.
// Each module has an `enum class Errc` registered as an error code enum, with its category. An
// Error carries the code and, where it helps the reader, a sentence naming what was wrong and
// where.
#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <string>
#include <utility>

namespace rtpool {

using ErrorCode = boost::system::error_code;

struct Error {
  ErrorCode code;
  std::string detail;  // may be empty

  Error() = default;  // no error; what result<T>::error() gives when there is a value
  Error(ErrorCode c, std::string d = {})
      : code(c), detail(std::move(d)) {}  // NOLINT: implicit on purpose
  template <class Enum>
  requires boost::system::is_error_code_enum<Enum>::value Error(Enum e, std::string d = {})
      : code(make_error_code(e)), detail(std::move(d)) {}  // NOLINT

  // "<meaning of the code>: <detail>", for people.
  [[nodiscard]] std::string message() const {
    return detail.empty() ? code.message() : code.message() + ": " + detail;
  }
};

[[noreturn]] inline void throw_exception_from_error(const Error& error,
                                                    const boost::source_location&) {
  throw boost::system::system_error(error.code, error.detail);
}

template <class T>
using Result = boost::system::result<T, Error>;

}  // namespace rtpool
