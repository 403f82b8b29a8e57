# The libraries of Trestle, the lowest first, with the borders of BUILD.bazel: each file there is in one library here.
# //tests/builds compares the two. A target of Bazel is a class or a few; a library of CMake is a floor or a few:
#
#   wire     floors base and wire: names, hellos, PROXY headers, as pure functions
#   io       floor io, with the facts of certificates and of TLS that reports have
#   router   the part of floor proxy that needs no TLS: SniPassthroughRouter
#   tls      floors pki and tls; the first library that links BoringSSL
#   proxy    the rest of floor proxy: TlsTerminator, TlsBridge, QuicPassthroughRouter
#   watch    floor watch: probes and monitoring
#   linux    the edge for hosts without a loop of their own
#   trestle  all of the above, with trestle/trestle.h
#   testing  virtual time, memory transports, hellos; with testing_tls also certificates
#   testing_conformance  tests for a host's own transport, on GoogleTest

trestle_library(wire
  ABSEIL bits cord flat_hash_map hash inlined_vector
  HEADERS
    include/trestle/version.h
    include/trestle/base/bytes.h
    include/trestle/base/client_budget.h
    include/trestle/base/endpoint.h
    include/trestle/base/error.h
    include/trestle/base/ip_range.h
    include/trestle/base/leg.h
    include/trestle/base/monotonic_time.h
    include/trestle/wire/client_hello.h
    include/trestle/wire/ech_opener.h
    include/trestle/wire/hello_fingerprint.h
    include/trestle/wire/pattern_index.h
    include/trestle/wire/proxy_protocol.h
    include/trestle/wire/quic_hello.h
    include/trestle/wire/quic_packet.h
    include/trestle/wire/server_name.h
  SOURCES
    lib/base/bytes.cc
    lib/base/client_budget.cc
    lib/base/endpoint.cc
    lib/base/error.cc
    lib/base/ip_range.cc
    lib/wire/client_hello.cc
    lib/wire/ech_opener.cc
    lib/wire/first_bytes.cc
    lib/wire/hello_fingerprint.cc
    lib/wire/hello_parser.cc
    lib/wire/hello_retry.cc
    lib/wire/hidden_name.cc
    lib/wire/inner_hello.cc
    lib/wire/name_index.cc
    lib/wire/pattern_index.cc
    lib/wire/proxy_protocol.cc
    lib/wire/proxy_protocol_v1.cc
    lib/wire/proxy_protocol_v2.cc
    lib/wire/proxy_protocol_writer.cc
    lib/wire/quic_frames.cc
    lib/wire/quic_hello.cc
    lib/wire/quic_hello_assembler.cc
    lib/wire/quic_packet.cc
    lib/wire/server_name.cc
    lib/wire/tls_records.cc)

trestle_library(io
  DEPS wire
  HEADERS
    include/trestle/io/datagram_socket.h
    include/trestle/io/dialer.h
    include/trestle/io/inspector.h
    include/trestle/io/inspector_chain.h
    include/trestle/io/pattern_blocker.h
    include/trestle/io/prefixed_transport.h
    include/trestle/io/relay.h
    include/trestle/io/resolver.h
    include/trestle/io/scheduler.h
    include/trestle/io/splice_buffer.h
    include/trestle/io/stream_closer.h
    include/trestle/io/task_runner.h
    include/trestle/io/transport.h
    include/trestle/pki/certificate_info.h
    include/trestle/pki/peer_identity.h
    include/trestle/tls/hello_hook.h
    include/trestle/tls/tls_info.h
  SOURCES
    lib/io/inspector_chain.cc
    lib/io/pattern_blocker.cc
    lib/io/prefixed_transport.cc
    lib/io/relay.cc
    lib/io/relay_pipe.cc
    lib/io/resolver.cc
    lib/io/splice_path.cc
    lib/io/stream_closer.cc
    lib/pki/certificate_info.cc)

trestle_library(router
  DEPS io
  ABSEIL flat_hash_map flat_hash_set inlined_vector synchronization
  HEADERS
    include/trestle/proxy/accepted.h
    include/trestle/proxy/backend_chooser.h
    include/trestle/proxy/backend_group.h
    include/trestle/proxy/backend_state.h
    include/trestle/proxy/backends.h
    include/trestle/proxy/connection_handler.h
    include/trestle/proxy/connection_limiter.h
    include/trestle/proxy/content_routing.h
    include/trestle/proxy/observer.h
    include/trestle/proxy/proxy_block.h
    include/trestle/proxy/resolved_backends.h
    include/trestle/proxy/route_table.h
    include/trestle/proxy/route_text.h
    include/trestle/proxy/sni_passthrough_router.h
    include/trestle/proxy/unconfirmed_backends.h
  SOURCES
    lib/proxy/back_connector.cc
    lib/proxy/backend_chooser.cc
    lib/proxy/backend_preamble.cc
    lib/proxy/backend_state.cc
    lib/proxy/backends.cc
    lib/proxy/connection.cc
    lib/proxy/connection_limiter.cc
    lib/proxy/connection_set.cc
    lib/proxy/content_leg.cc
    lib/proxy/hello_leg.cc
    lib/proxy/inner_hello_transport.cc
    lib/proxy/loan.cc
    lib/proxy/observer.cc
    lib/proxy/proxy_block.cc
    lib/proxy/proxy_header_leg.cc
    lib/proxy/resolved_backends.cc
    lib/proxy/route_table.cc
    lib/proxy/route_text.cc
    lib/proxy/sni_passthrough_router.cc)

trestle_library(tls
  DEPS io
  ABSEIL flat_hash_map flat_hash_set inlined_vector str_format synchronization
  BORINGSSL ssl pki crypto
  HEADERS
    include/trestle/pki/chain_checker.h
    include/trestle/pki/chain_findings.h
    include/trestle/pki/failover_signer.h
    include/trestle/pki/finding.h
    include/trestle/pki/passphrase.h
    include/trestle/pki/private_key.h
    include/trestle/pki/renewal_info.h
    include/trestle/pki/sha256.h
    include/trestle/pki/signer.h
    include/trestle/pki/signer_proof.h
    include/trestle/pki/spiffe_id.h
    include/trestle/pki/staple.h
    include/trestle/pki/thread_pool_signer.h
    include/trestle/pki/trust_store.h
    include/trestle/tls/acme_tokens.h
    include/trestle/tls/certificate_compressor.h
    include/trestle/tls/certificate_store.h
    include/trestle/tls/client_authentication.h
    include/trestle/tls/client_session_cache.h
    include/trestle/tls/client_tls_config.h
    include/trestle/tls/client_tls_target.h
    include/trestle/tls/credential.h
    include/trestle/tls/credential_files.h
    include/trestle/tls/credential_selector.h
    include/trestle/tls/ech_key_opener.h
    include/trestle/tls/ech_keys.h
    include/trestle/tls/ech_pairs.h
    include/trestle/tls/key_log.h
    include/trestle/tls/peer_verifier.h
    include/trestle/tls/quic_hello_reader.h
    include/trestle/tls/server_session_cache.h
    include/trestle/tls/server_tls_config.h
    include/trestle/tls/ticket_key_ring.h
    include/trestle/tls/ticket_keys.h
    include/trestle/tls/tls_engine.h
    include/trestle/tls/tls_parameters.h
    include/trestle/tls/tls_reload.h
    include/trestle/tls/tls_stream.h
  SOURCES
    lib/pki/certificate_verifier.cc
    lib/pki/chain_checker.cc
    lib/pki/chain_failure.cc
    lib/pki/chain_findings.cc
    lib/pki/chain_forecast.cc
    lib/pki/failover_signer.cc
    lib/pki/finding.cc
    lib/pki/key_parser.cc
    lib/pki/name_constraints.cc
    lib/pki/ocsp_staple.cc
    lib/pki/path_search.cc
    lib/pki/peer_name.cc
    lib/pki/pem.cc
    lib/pki/pem_reader.cc
    lib/pki/private_key.cc
    lib/pki/renewal_info.cc
    lib/pki/sha256.cc
    lib/pki/signature.cc
    lib/pki/signer_proof.cc
    lib/pki/spiffe_id.cc
    lib/pki/thread_pool_signer.cc
    lib/pki/trust_anchors.cc
    lib/pki/trust_store.cc
    lib/pki/weakness.cc
    lib/pki/x509_certificate.cc
    lib/tls/client_auth/client_auth_rules.cc
    lib/tls/client_auth/client_authentication.cc
    lib/tls/credentials/acme_identifier.cc
    lib/tls/credentials/acme_tokens.cc
    lib/tls/credentials/certificate_store.cc
    lib/tls/credentials/compression_cache.cc
    lib/tls/credentials/credential.cc
    lib/tls/credentials/credential_files.cc
    lib/tls/credentials/signer_key.cc
    lib/tls/ech/ech_config.cc
    lib/tls/ech/ech_inner_hello.cc
    lib/tls/ech/ech_key_opener.cc
    lib/tls/ech/ech_key_set.cc
    lib/tls/ech/ech_keys.cc
    lib/tls/ech/ech_ledger.cc
    lib/tls/ech/ech_pairs.cc
    lib/tls/engine/client_callbacks.cc
    lib/tls/engine/client_tls_config.cc
    lib/tls/engine/connection_state.cc
    lib/tls/engine/engine_start.cc
    lib/tls/engine/hello_answer.cc
    lib/tls/engine/peer_chain.cc
    lib/tls/engine/server_callbacks.cc
    lib/tls/engine/server_tls_config.cc
    lib/tls/engine/ssl_error.cc
    lib/tls/engine/tls_context.cc
    lib/tls/engine/tls_engine.cc
    lib/tls/engine/tls_parameters.cc
    lib/tls/engine/tls_reload.cc
    lib/tls/engine/tls_stream.cc
    lib/tls/engine/verifier_question.cc
    lib/tls/quic/quic_hello_reader.cc
    lib/tls/quic/quic_initial_keys.cc
    lib/tls/sessions/client_session_cache.cc
    lib/tls/sessions/resumption_callbacks.cc
    lib/tls/sessions/server_session_cache.cc
    lib/tls/sessions/session_clock.cc
    lib/tls/sessions/session_memory.cc
    lib/tls/sessions/ticket_key_ring.cc
    lib/tls/sessions/ticket_keys.cc)

trestle_library(proxy TLS
  DEPS router tls
  ABSEIL flat_hash_map flat_hash_set hash
  HEADERS
    include/trestle/proxy/quic_passthrough_router.h
    include/trestle/proxy/tls_bridge.h
    include/trestle/proxy/tls_terminator.h
  SOURCES
    lib/proxy/eager_alpn.cc
    lib/proxy/quic/quic_flow.cc
    lib/proxy/quic/quic_flow_report.cc
    lib/proxy/quic/quic_flow_story.cc
    lib/proxy/quic/quic_flow_table.cc
    lib/proxy/quic/quic_passthrough_router.cc
    lib/proxy/quic/quic_router_begin.cc
    lib/proxy/quic/quic_router_core.cc
    lib/proxy/tls_bridge.cc
    lib/proxy/tls_terminator.cc)

trestle_library(watch
  DEPS proxy
  ABSEIL flat_hash_map
  BORINGSSL crypto
  HEADERS
    include/trestle/watch/certificate_monitor.h
    include/trestle/watch/certificate_sightings.h
    include/trestle/watch/expiry_alarms.h
    include/trestle/watch/health_check.h
    include/trestle/watch/health_checker.h
    include/trestle/watch/leg_probe.h
    include/trestle/watch/probe_findings.h
    include/trestle/watch/probe_queue.h
    include/trestle/watch/start_tls.h
  SOURCES
    lib/watch/certificate_events.cc
    lib/watch/certificate_monitor.cc
    lib/watch/certificate_status.cc
    lib/watch/chain_ends.cc
    lib/watch/certificate_sightings.cc
    lib/watch/expiry_alarms.cc
    lib/watch/health_check.cc
    lib/watch/health_checker.cc
    lib/watch/http2_ask.cc
    lib/watch/leg_probe.cc
    lib/watch/probe_findings.cc
    lib/watch/probe_queue.cc
    lib/watch/start_tls/start_tls.cc
    lib/watch/start_tls/start_tls_binary.cc
    lib/watch/start_tls/start_tls_lines.cc
    lib/watch/start_tls/start_tls_script.cc
    lib/watch/start_tls/start_tls_xmpp.cc)

trestle_library(linux
  DEPS io
  ABSEIL str_format synchronization
  HEADERS
    include/trestle/linux/ca_files.h
    include/trestle/linux/epoll_loop.h
    include/trestle/linux/fd_loop.h
    include/trestle/linux/file.h
    include/trestle/linux/file_watcher.h
    include/trestle/linux/kernel_pipe_pool.h
    include/trestle/linux/log_writer.h
    include/trestle/linux/no_loop.h
    include/trestle/linux/owned_fd.h
    include/trestle/linux/private_file.h
    include/trestle/linux/service_notifier.h
    include/trestle/linux/signal_watcher.h
    include/trestle/linux/tcp_dialer.h
    include/trestle/linux/tcp_listener.h
    include/trestle/linux/tcp_transport.h
    include/trestle/linux/thread.h
    include/trestle/linux/thread_pool.h
    include/trestle/linux/udp_sockets.h
  SOURCES
    lib/linux/ca_files.cc
    lib/linux/epoll_loop.cc
    lib/linux/file.cc
    lib/linux/file_watcher.cc
    lib/linux/kernel_pipe_pool.cc
    lib/linux/log_writer.cc
    lib/linux/no_loop.cc
    lib/linux/path_trace.cc
    lib/linux/private_file.cc
    lib/linux/record_queue.cc
    lib/linux/service_notifier.cc
    lib/linux/signal_watcher.cc
    lib/linux/socket.cc
    lib/linux/socket_file.cc
    lib/linux/tcp_dialer.cc
    lib/linux/tcp_listener.cc
    lib/linux/tcp_transport.cc
    lib/linux/thread.cc
    lib/linux/thread_pool.cc
    lib/linux/timer_heap.cc
    lib/linux/udp_scratch.cc
    lib/linux/udp_sockets.cc
    lib/linux/write_all.cc)

trestle_library(trestle TLS
  DEPS watch linux
  HEADERS
    include/trestle/trestle.h)

trestle_library(testing
  DEPS io
  ABSEIL flat_hash_map
  HEADERS
    include/trestle/testing/client_hello_kit.h
    include/trestle/testing/memory_datagrams.h
    include/trestle/testing/memory_transport.h
    include/trestle/testing/simulated_loop.h
    include/trestle/testing/simulated_resolver.h
  SOURCES
    lib/testing/client_hello_kit.cc
    lib/testing/memory_datagrams.cc
    lib/testing/memory_transport.cc
    lib/testing/simulated_loop.cc
    lib/testing/simulated_resolver.cc)

trestle_library(testing_tls
  DEPS testing tls
  BORINGSSL ssl crypto
  HEADERS
    include/trestle/testing/quic_hello_kit.h
    include/trestle/testing/test_pki.h
  SOURCES
    lib/testing/quic_hello_kit.cc
    lib/testing/test_pki.cc)

trestle_library(testing_conformance GTEST
  DEPS testing
  HEADERS
    include/trestle/testing/transport_conformance.h
  SOURCES
    lib/testing/conformance/byte_cases.cc
    lib/testing/conformance/callback_cases.cc
    lib/testing/conformance/dialer_cases.cc
    lib/testing/conformance/end_cases.cc
    lib/testing/conformance/scheduler_cases.cc
    lib/testing/conformance/stage.cc
    lib/testing/conformance/transport_conformance.cc
    lib/testing/conformance/truncation_cases.cc)
