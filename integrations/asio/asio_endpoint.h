// Conversions between Endpoint and the endpoints of Asio.
#ifndef TRESTLE_INTEGRATIONS_ASIO_ASIO_ENDPOINT_H_
#define TRESTLE_INTEGRATIONS_ASIO_ASIO_ENDPOINT_H_

#include <asio.hpp>

#include "trestle/base/endpoint.h"

namespace trestle {

using AsioEndpoint = asio::generic::stream_protocol::endpoint;

/// Returns the address for TCP or a Unix-domain socket. `endpoint` must have one.
AsioEndpoint ToAsio(const Endpoint& endpoint);

/// Returns kNone for other families than IPv4, IPv6 and Unix-domain sockets.
Endpoint FromAsio(const AsioEndpoint& endpoint);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_ASIO_ASIO_ENDPOINT_H_
