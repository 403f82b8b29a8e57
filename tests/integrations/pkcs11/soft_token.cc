#include "tests/integrations/pkcs11/soft_token.h"

#include <openssl/bytestring.h>
#include <openssl/evp.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/log/check.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/e2e/process.h"

namespace trestle::testing {
namespace {

void WriteText(const std::string& path, absl::string_view text) {
  // Readers see the old text or the new one.
  std::ofstream(path + ".new") << text;
  std::filesystem::rename(path + ".new", path);
}

// Returns the seed of an Ed25519 key in PKCS#8: its last 32 bytes (RFC 8410 7).
std::string SeedOf(const std::string& key_pem) {
  std::string base64 = key_pem;
  base64 = absl::StrReplaceAll(
      base64, {{"-----BEGIN PRIVATE KEY-----", ""}, {"-----END PRIVATE KEY-----", ""}, {"\n", ""}});
  std::string der;
  CHECK(absl::Base64Unescape(base64, &der) && der.size() >= 32);
  return der.substr(der.size() - 32);
}

}  // namespace

std::string FaultyModule() {
  return std::filesystem::absolute("tests/integrations/pkcs11/faulty_module.so").string();
}

SoftToken::SoftToken(const std::string& folder) : folder_(folder), pin_file_(folder + "/pin") {
  std::filesystem::create_directories(PathOf("tokens"));
  WriteText(PathOf("softhsm2.conf"),
            absl::StrCat("directories.tokendir = ", PathOf("tokens"),
                         "\nobjectstore.backend = file\nlog.level = ERROR\n"));
  WritePin("1234");
  SetFault("");
  setenv("SOFTHSM2_CONF", PathOf("softhsm2.conf").c_str(), 1);
  setenv("TRESTLE_TEST_TOKEN_FAULT", PathOf("fault").c_str(), 1);
  AddToken("edge");
}

void SoftToken::AddToken(const std::string& label) {
  Run({"softhsm2-util", "--init-token", "--free", "--label", label, "--pin", "1234", "--so-pin",
       "5678"});
}

void SoftToken::Import(const std::string& label, const std::string& key_pem,
                       const std::string& token, const std::string& id) {
  WriteText(PathOf("import.key"), key_pem);
  Run({"softhsm2-util", "--import", PathOf("import.key"), "--token", token, "--label", label,
       "--id", id, "--pin", "1234"});
  std::filesystem::remove(PathOf("import.key"));
}

void SoftToken::ImportEd25519(const std::string& label, const std::string& key_pem) {
  CK_FUNCTION_LIST* const module = p11_kit_module_load(kSoftHsm, 0);
  CHECK(module != nullptr) << p11_kit_message();
  CHECK(p11_kit_module_initialize(module) == CKR_OK);
  std::array<CK_SLOT_ID, 8> slots = {};
  CK_ULONG count = slots.size();
  CHECK(module->C_GetSlotList(CK_TRUE, slots.data(), &count) == CKR_OK && count > 0);
  CK_SESSION_HANDLE session = 0;
  CHECK(module->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr,
                              &session) == CKR_OK);
  std::array<CK_UTF8CHAR, 4> pin = {'1', '2', '3', '4'};
  CHECK(module->C_Login(session, CKU_USER, pin.data(), pin.size()) == CKR_OK);
  CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
  CK_KEY_TYPE type = CKK_EC_EDWARDS;
  CK_BBOOL yes = CK_TRUE;
  // The PrintableString "edwards25519".
  std::string curve = absl::StrCat("\x13\x0c", "edwards25519");
  std::string name = label;
  std::string seed = SeedOf(key_pem);
  std::array<CK_ATTRIBUTE, 8> attributes = {
      CK_ATTRIBUTE{CKA_CLASS, &object_class, sizeof(object_class)},
      CK_ATTRIBUTE{CKA_KEY_TYPE, &type, sizeof(type)},
      CK_ATTRIBUTE{CKA_TOKEN, &yes, sizeof(yes)},
      CK_ATTRIBUTE{CKA_PRIVATE, &yes, sizeof(yes)},
      CK_ATTRIBUTE{CKA_SIGN, &yes, sizeof(yes)},
      CK_ATTRIBUTE{CKA_LABEL, &name[0], name.size()},
      CK_ATTRIBUTE{CKA_EC_PARAMS, &curve[0], curve.size()},
      CK_ATTRIBUTE{CKA_VALUE, &seed[0], seed.size()}};
  CK_OBJECT_HANDLE key = 0;
  const CK_RV made = module->C_CreateObject(session, attributes.data(), attributes.size(), &key);
  CHECK(made == CKR_OK) << p11_kit_strerror(made);
  module->C_CloseSession(session);
  p11_kit_module_finalize(module);
  p11_kit_module_release(module);
}

std::string SoftToken::Uri(const std::string& label, const std::string& more) const {
  return absl::StrCat("pkcs11:token=edge;object=", label, more, "?module-path=", kSoftHsm,
                      "&pin-source=file:", pin_file_);
}

std::string SoftToken::FaultyUri(const std::string& label) const {
  return absl::StrCat("pkcs11:token=edge;object=", label, "?module-path=", FaultyModule(),
                      "&pin-source=file:", pin_file_);
}

void SoftToken::SetFault(absl::string_view word) const { WriteText(PathOf("fault"), word); }

void SoftToken::WritePin(absl::string_view pin) const {
  WriteText(pin_file_, absl::StrCat(pin, "\n"));
}

void SoftToken::Run(const std::vector<std::string>& argv) {
  std::vector<std::string> command = argv;
  command[0] = e2e::FindProgram(argv[0]);
  ASSERT_NE(command[0], "");
  const e2e::CommandResult result = e2e::RunCommand(command, absl::Seconds(60));
  ASSERT_EQ(result.exit_status, 0) << result.errors << result.output;
}

}  // namespace trestle::testing
