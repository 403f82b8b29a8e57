#include "integrations/pkcs11/pkcs11_module.h"

#include <p11-kit/p11-kit.h>

#include <string>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

std::string MessageOfP11Kit() {
  const char* const message = p11_kit_message();
  return message == nullptr ? "no reason was given" : message;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Pkcs11Modules>> Pkcs11Modules::Load(const Pkcs11Uri& uri) {
  auto modules = absl::WrapUnique(new Pkcs11Modules());
  if (uri.module_path().empty()) {
    modules->configured_ = p11_kit_modules_load_and_initialize(0);
    if (modules->configured_ == nullptr) {
      return ConfigurationError(
          absl::StrCat("p11-kit can't load its configured modules: ", MessageOfP11Kit()));
    }
    for (CK_FUNCTION_LIST** next = modules->configured_; *next != nullptr; ++next) {
      modules->all_.push_back(*next);
    }
    return modules;
  }
  CK_FUNCTION_LIST* const module = p11_kit_module_load(uri.module_path().c_str(), 0);
  if (module == nullptr) {
    return ConfigurationError(absl::StrCat("cannot load the PKCS #11 module ", uri.module_path(),
                                           ": ", MessageOfP11Kit()));
  }
  const CK_RV result = p11_kit_module_initialize(module);
  if (result != CKR_OK) {
    p11_kit_module_release(module);
    return ConfigurationError(absl::StrCat("cannot initialize the PKCS #11 module ",
                                           uri.module_path(), ": ", p11_kit_strerror(result)));
  }
  modules->all_.push_back(module);
  return modules;
}

Pkcs11Modules::~Pkcs11Modules() {
  if (configured_ != nullptr) {
    p11_kit_modules_finalize_and_release(configured_);
    return;
  }
  for (CK_FUNCTION_LIST* module : all_) {
    p11_kit_module_finalize(module);
    p11_kit_module_release(module);
  }
}

}  // namespace trestle
