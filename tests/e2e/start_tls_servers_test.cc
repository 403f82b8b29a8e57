// leg_probe with Debian's servers of protocols that begin in clear text.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/server_programs.h"

namespace trestle::e2e {
namespace {

using Json = nlohmann::json;

constexpr char kName[] = "mail.test";

class StartTlsServersTest : public ServerProgramsTest {
 protected:
  StartTlsServersTest() {
    WriteCertificate("server", LeafFor(kName));
    std::filesystem::create_directory(PathOf("data"));
  }

  Json Probe(const std::string& protocol) const {
    const CommandResult result = RunCommand(
        {ExampleProgram("leg_probe"), absl::StrCat("--back=127.0.0.1:", port_, ",", kName),
         absl::StrCat("--starttls=", protocol), "--json", "--ca=" + PathOf("ca.pem")},
        kPatience);
    EXPECT_EQ(result.errors, "");
    return Json::parse(result.output).at("legs").at(0);
  }

  // Expects a good leg with STARTTLS, and a failed one without it.
  void ExpectGood(const std::string& protocol) const {
    const Json leg = Probe(protocol);
    EXPECT_EQ(leg.at("good"), true) << leg.dump(1);
    EXPECT_EQ(leg.at("start_tls"), protocol);
    EXPECT_EQ(Probe("none").at("good"), false);
  }

  const uint16_t port_ = FreePort();
  const std::string cert_ = PathOf("server.pem");
  const std::string key_ = PathOf("server.key");
};

TEST_F(StartTlsServersTest, ProbesFtpOfVsftpd) {
  const std::string config = WriteFile(
      "vsftpd.conf", absl::StrCat("listen=YES\nlisten_address=127.0.0.1\nlisten_port=", port_,
                                  "\nbackground=NO\nrun_as_launching_user=YES\nseccomp_sandbox=NO\n"
                                  "anonymous_enable=YES\nssl_enable=YES\nrsa_cert_file=",
                                  cert_, "\nrsa_private_key_file=", key_, "\n"));
  const auto server = StartServer({FindProgram("vsftpd"), config}, port_);
  ExpectGood("ftp");
}

TEST_F(StartTlsServersTest, ProbesLdapOfSlapd) {
  const std::string config = WriteFile(
      "slapd.conf", absl::StrCat("include /etc/ldap/schema/core.schema\nTLSCertificateFile ", cert_,
                                 "\nTLSCertificateKeyFile ", key_, "\n"));
  const auto server = StartServer({FindProgram("slapd"), "-d", "0", "-h",
                                   absl::StrCat("ldap://127.0.0.1:", port_), "-f", config},
                                  port_);
  ExpectGood("ldap");
}

TEST_F(StartTlsServersTest, ProbesXmppOfProsody) {
  const std::string config = WriteFile(
      "prosody.cfg.lua",
      absl::StrCat("pidfile = \"", PathOf("prosody.pid"), "\"\ndata_path = \"", PathOf("data"),
                   "\"\nrun_as_root = true\nmodules_enabled = { \"tls\", \"saslauth\" }\n"
                   "modules_disabled = { \"s2s\" }\ninterfaces = { \"127.0.0.1\" }\n"
                   "c2s_ports = { ",
                   port_, " }\nlog = { info = \"*console\" }\nVirtualHost \"", kName,
                   "\"\nssl = { certificate = \"", cert_, "\"; key = \"", key_, "\" }\n"));
  const auto server = StartServer({FindProgram("prosody"), "-F", "--config", config}, port_);
  ExpectGood("xmpp");
}

TEST_F(StartTlsServersTest, ProbesMysqlOfMariadb) {
  // A relative socket path is below the data directory, and may be short.
  const auto server = StartServer(
      {FindProgram("mariadbd"), "--no-defaults", "--user=root", "--datadir=" + PathOf("data"),
       "--bind-address=127.0.0.1", absl::StrCat("--port=", port_), "--socket=m.sock",
       "--skip-grant-tables", "--skip-networking=0", "--innodb=OFF",
       "--default-storage-engine=MyISAM", "--ssl-cert=" + cert_, "--ssl-key=" + key_},
      port_);
  // It listens earlier, but resets the first connections.
  ASSERT_TRUE(server->WaitForErrors("ready for connections", kPatience)) << server->errors();
  ExpectGood("mysql");
}

TEST_F(StartTlsServersTest, ProbesPop3OfStunnel) {
  HttpBackend::Options pop3;
  pop3.greeting = "+OK ready\r\n";
  const HttpBackend behind(pop3);
  const auto server =
      StartStunnel(absl::StrCat("foreground = yes\npid =\n[pop3]\naccept = 127.0.0.1:", port_,
                                "\nconnect = ", behind.address(), "\ncert = ", cert_,
                                "\nkey = ", key_, "\nprotocol = pop3\n"),
                   port_);
  ExpectGood("pop3");
}

}  // namespace
}  // namespace trestle::e2e
