#include "integrations/pkcs11/pkcs11_uri.h"

#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "trestle/base/error.h"
#include "trestle/linux/file.h"

namespace trestle {
namespace {

// An empty text for null.
std::string TextOf(const char* text) { return text == nullptr ? "" : text; }

absl::Status Refuse(absl::string_view name, absl::string_view why) {
  return ConfigurationError(absl::StrCat(name, ": ", why));
}

absl::Status CheckPath(absl::string_view name, absl::string_view query, absl::string_view path) {
  if (path.empty() || absl::StartsWith(path, "/")) return absl::OkStatus();
  return Refuse(name, absl::StrCat("its ", query, " is no absolute path"));
}

absl::Status CheckType(absl::string_view name, P11KitUri* uri) {
  const CK_ATTRIBUTE* type = p11_kit_uri_get_attribute(uri, CKA_CLASS);
  if (type == nullptr) return absl::OkStatus();
  CK_OBJECT_CLASS value = 0;
  std::memcpy(&value, type->pValue, sizeof(value));
  if (value == CKO_PRIVATE_KEY) return absl::OkStatus();
  return Refuse(name, "its type is not private; leave it out, or name a private key");
}

}  // namespace

absl::StatusOr<Pkcs11Uri> Pkcs11Uri::Parse(const std::string& text) {
  Pkcs11Uri uri;
  uri.name_ = text.substr(0, text.find('?'));
  uri.native_ = std::shared_ptr<P11KitUri>(p11_kit_uri_new(), p11_kit_uri_free);
  P11KitUri* const native = uri.native();
  const int parsed = p11_kit_uri_parse(text.c_str(), P11_KIT_URI_FOR_ANY, native);
  if (parsed != P11_KIT_URI_OK) {
    return Refuse(uri.name_, absl::StrCat("it is no PKCS #11 URI (RFC 7512): ",
                                          TextOf(p11_kit_uri_message(parsed))));
  }
  if (p11_kit_uri_any_unrecognized(native) != 0) {
    return Refuse(uri.name_, "it has an attribute that RFC 7512 doesn't have");
  }
  if (absl::Status type = CheckType(uri.name_, native); !type.ok()) return type;
  if (p11_kit_uri_get_pin_value(native) != nullptr) {
    return Refuse(uri.name_,
                  "pin-value would show the PIN to every user of this machine; write it into a "
                  "file, and name that by pin-source");
  }
  if (p11_kit_uri_get_module_name(native) != nullptr) {
    return Refuse(uri.name_, "module-name is not supported; use module-path");
  }
  uri.module_path_ = TextOf(p11_kit_uri_get_module_path(native));
  uri.pin_file_ = TextOf(p11_kit_uri_get_pin_source(native));
  if (absl::StartsWith(uri.pin_file_, "file:")) uri.pin_file_.erase(0, std::strlen("file:"));
  if (absl::StartsWith(uri.pin_file_, "///")) uri.pin_file_.erase(0, std::strlen("//"));
  if (absl::Status path = CheckPath(uri.name_, "module-path", uri.module_path_); !path.ok()) {
    return path;
  }
  if (absl::Status path = CheckPath(uri.name_, "pin-source", uri.pin_file_); !path.ok()) {
    return path;
  }
  return uri;
}

absl::StatusOr<std::string> Pkcs11Uri::ReadPin() const {
  if (pin_file_.empty()) return std::string();
  absl::StatusOr<std::string> text = ReadFile(pin_file_);
  if (text.ok()) text->resize(std::min(text->size(), text->find_first_of("\r\n")));
  return text;
}

}  // namespace trestle
