#include "examples/support/proxy_base.h"

#include "examples/support/connection_flags.h"
#include "examples/support/program.h"
#include "examples/support/proxy_flags.h"
#include "trestle/base/endpoint.h"

namespace trestle::examples {

ProxyBase::ProxyBase()
    : host_options(OrExit(HostOptionsFromFlags())),
      loop(OrExit(EpollLoop::Create())),
      host(host_options, *loop),
      connection(OrExit(ConnectionOptionsFromFlags())),
      names(OrExit(BackendNames::FromFlags(*loop, host_options.check_only))),
      checks(
          OrExit(BackendChecks::FromFlags(*loop, *names, connection.proxy_protocol_to_backend))) {
  names->Refuse([this](const Endpoint& address) { return host.IsItself(address); });
  host.AddPart(checks->calls());
}

}  // namespace trestle::examples
