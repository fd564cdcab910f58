#include "pool/records.h"

#include "pool/errc.h"

namespace rtpool::pool {

std::string record_store_key(const std::string& pool, const std::string& key) {
  return "record/" + pool + "/" + key;
}

Result<void> check_record_key(const std::string& key) {
  if (key.empty()) return Error(Errc::bad_argument, "the record's key is empty");
  if (key.size() <= kMaxRecordKeyBytes) return {};
  return Error(Errc::bad_argument, "the record's key has " + std::to_string(key.size()) +
                                       " bytes; at most " + std::to_string(kMaxRecordKeyBytes));
}

Result<void> check_record_value(const std::string& value) {
  if (value.size() <= kMaxRecordBytes) return {};
  return Error(Errc::bad_argument, "the record has " + std::to_string(value.size()) +
                                       " bytes; at most " + std::to_string(kMaxRecordBytes));
}

}  // namespace rtpool::pool
