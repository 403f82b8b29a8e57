// SchemaChecker: validates a JSON document against its schema.
#ifndef TRESTLE_TESTS_E2E_SCHEMA_CHECKER_H_
#define TRESTLE_TESTS_E2E_SCHEMA_CHECKER_H_

#include <algorithm>
#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace trestle::e2e {

/// Supports the parts of JSON Schema that docs/ uses. A mismatch fails the test.
class SchemaChecker {
 public:
  explicit SchemaChecker(const nlohmann::json& schema) : definitions_(schema.at("definitions")) {}

  void Check(const nlohmann::json& value, const nlohmann::json& schema,
             const std::string& where) const {
    if (schema.contains("$ref")) {
      const std::string name = schema.at("$ref").get<std::string>().substr(14);
      return Check(value, definitions_.at(name), where);
    }
    if (schema.contains("allOf")) return Check(value, schema.at("allOf").at(0), where);
    CheckType(value, schema.at("type"), where);
    if (schema.contains("enum")) {
      const nlohmann::json& allowed = schema.at("enum");
      EXPECT_NE(std::find(allowed.begin(), allowed.end(), value), allowed.end())
          << where << ": " << value;
    }
    if (value.is_object()) CheckObject(value, schema, where);
    if (value.is_array()) {
      for (const nlohmann::json& item : value) Check(item, schema.at("items"), where + "[]");
    }
  }

 private:
  static void CheckType(const nlohmann::json& value, const nlohmann::json& type,
                        const std::string& where) {
    const std::string is = value.is_number() ? "number" : value.type_name();
    const bool fits =
        type.is_array() ? std::find(type.begin(), type.end(), is) != type.end() : type == is;
    EXPECT_TRUE(fits) << where << " is a " << is << ", not a " << type;
  }

  void CheckObject(const nlohmann::json& value, const nlohmann::json& schema,
                   const std::string& where) const {
    const nlohmann::json& properties = schema.at("properties");
    for (const nlohmann::json& name : schema.at("required")) {
      EXPECT_TRUE(value.contains(name)) << where << " has no " << name;
    }
    for (const auto& [name, member] : value.items()) {
      if (!properties.contains(name)) {
        ADD_FAILURE() << where << " has " << name;
        continue;
      }
      Check(member, properties.at(name), where + "." + name);
    }
  }

  const nlohmann::json& definitions_;
};

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_SCHEMA_CHECKER_H_
