#include "integrations/modsecurity/json_names.h"

#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace trestle {
namespace {

constexpr size_t kBytesOfAnIndex = 11;  // ".array_1000"

// Follows the names that libmodsecurity builds: a container's name is the last key before it.
class NameCounter final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit NameCounter(size_t max_bytes) : room_(max_bytes) {}

  bool null() override { return Value(); }
  bool boolean(bool) override { return Value(); }
  bool number_integer(number_integer_t) override { return Value(); }
  bool number_unsigned(number_unsigned_t) override { return Value(); }
  bool number_float(number_float_t, const string_t&) override { return Value(); }
  bool string(string_t&) override { return Value(); }
  bool binary(binary_t&) override { return false; }
  bool key(string_t& name) override { return key_bytes_ = name.size(), true; }
  bool start_object(size_t) override { return Open(); }
  bool start_array(size_t) override { return Open(); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  bool Value() {
    const size_t bytes = path_bytes_ + key_bytes_;
    if (bytes > room_) return false;
    room_ -= bytes;
    return true;
  }

  bool Open() {
    containers_.push_back(key_bytes_ + kBytesOfAnIndex);
    path_bytes_ += containers_.back();
    return true;
  }

  bool Close() {
    path_bytes_ -= containers_.back();
    containers_.pop_back();
    return true;
  }

  size_t room_;
  size_t key_bytes_ = 0;
  size_t path_bytes_ = 0;
  std::vector<size_t> containers_;
};

}  // namespace

bool JsonNamesWithin(absl::string_view json, size_t max_bytes) {
  NameCounter counter(max_bytes);
  return nlohmann::json::sax_parse(json.begin(), json.end(), &counter);
}

}  // namespace trestle
