// A PKCS #11 module that passes all calls on to SoftHSM, except when the file of the environment
// variable TRESTLE_TEST_TOKEN_FAULT has one of these words in it:
//   gone     the token is removed: no slot has one, and its sessions are dead
//   hanging  signatures wait until the word is gone
//   slow     signatures take 20 ms more
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

namespace {

CK_FUNCTION_LIST* soft = nullptr;
CK_FUNCTION_LIST own;

std::string Fault() {
  const char* const path = std::getenv("TRESTLE_TEST_TOKEN_FAULT");
  if (path == nullptr) return "";
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

CK_RV GetSlotList(CK_BBOOL present, CK_SLOT_ID* slots, CK_ULONG* count) {
  if (Fault() != "gone") return soft->C_GetSlotList(present, slots, count);
  *count = 0;
  return CKR_OK;
}

CK_RV OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void* application, CK_NOTIFY notify,
                  CK_SESSION_HANDLE* session) {
  if (Fault() == "gone") return CKR_TOKEN_NOT_PRESENT;
  return soft->C_OpenSession(slot, flags, application, notify, session);
}

CK_RV SignInit(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE key) {
  if (Fault() == "gone") return CKR_DEVICE_REMOVED;
  return soft->C_SignInit(session, mechanism, key);
}

CK_RV Sign(CK_SESSION_HANDLE session, CK_BYTE* data, CK_ULONG bytes, CK_BYTE* signature,
           CK_ULONG* signature_bytes) {
  if (Fault() == "slow") std::this_thread::sleep_for(std::chrono::milliseconds(20));
  while (Fault() == "hanging") std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return soft->C_Sign(session, data, bytes, signature, signature_bytes);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  if (soft == nullptr) {
    void* const handle = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return CKR_GENERAL_ERROR;
    const auto get = reinterpret_cast<CK_C_GetFunctionList>(dlsym(handle, "C_GetFunctionList"));
    if (get == nullptr || get(&soft) != CKR_OK) return CKR_GENERAL_ERROR;
    own = *soft;
    own.C_GetFunctionList = C_GetFunctionList;
    own.C_GetSlotList = GetSlotList;
    own.C_OpenSession = OpenSession;
    own.C_SignInit = SignInit;
    own.C_Sign = Sign;
  }
  *list = &own;
  return CKR_OK;
}
