"""floor_library: a library target on a floor (ARCHITECTURE.md) that depends on no higher floor.

    load("//bazel:floors.bzl", "floor_library")

    floor_library(name = "leg", floor = "base", deps = ["@com_google_absl//absl/strings"])
    floor_library(name = "relay", floor = "io", deps = [":transport"])

A target has include/trestle/<floor>/<name>.h and, if it exists, lib/<floor>/<name>.cc; a floor may be divided into
rooms: lib/<floor>/<room>/<name>.cc. A target must be declared after its dependencies, so the root BUILD.bazel goes
from the bottom floor to the top.
"""

# The floors, bottom up. A floor may use itself and those below it.
_FLOORS = ["base", "wire", "io", "pki", "tls", "proxy", "watch"]

# The edges are not floors: an edge may use itself and the floors listed here; no floor may use an edge.
_EDGES = {
    "linux": ["base", "wire", "io"],
    "testing": ["base", "wire", "io", "pki", "tls", "proxy"],
}

# No other floor may use BoringSSL, so that a router does not link it.
_MAY_USE_BORINGSSL = ["pki", "tls", "watch", "testing"]

# Not on pki: certificates and keys are read and verified without TLS.
_MAY_USE_LIBSSL = ["tls", "testing"]

# What every target may include without naming it.
_ABSEIL = ["@com_google_absl//absl/" + name for name in [
    "algorithm:container",
    "base:core_headers",
    "functional:any_invocable",
    "functional:function_ref",
    "memory",
    "status",
    "status:statusor",
    "strings",
    "time",
    "types:span",
]]

_TAG = "floor="

def _visible_floors(floor):
    if floor in _EDGES:
        return _EDGES[floor] + [floor]
    if floor in _FLOORS:
        return _FLOORS[:_FLOORS.index(floor) + 1]
    fail("unknown floor \"{}\"; there are {} and {}".format(floor, ", ".join(_FLOORS), ", ".join(_EDGES.keys())))

def _check_dep(name, floor, dep):
    if dep.startswith("@boringssl//"):
        if floor not in _MAY_USE_BORINGSSL:
            fail("{} (floor {}) depends on {}: only {} may use BoringSSL".format(
                name,
                floor,
                dep,
                ", ".join(_MAY_USE_BORINGSSL),
            ))
        if dep == "@boringssl//:ssl" and floor not in _MAY_USE_LIBSSL:
            fail("{} (floor {}) depends on {}: only {} may use TLS".format(name, floor, dep, ", ".join(_MAY_USE_LIBSSL)))
        return
    if dep.startswith("@"):
        return
    if not dep.startswith(":"):
        fail("{}: write \"{}\" as \":name\"; all library targets are in this package".format(name, dep))

    rule = native.existing_rule(dep[1:])
    if rule == None:
        fail("{} depends on {}, which is not declared above it; targets are in floor order".format(name, dep))
    dep_floors = [tag[len(_TAG):] for tag in rule["tags"] if tag.startswith(_TAG)]
    if not dep_floors:
        fail("{} depends on {}, which is not a floor_library".format(name, dep))
    if dep_floors[0] not in _visible_floors(floor):
        fail("{} (floor {}) depends on {} (floor {}): a file includes its own floor and those below, never above".format(
            name,
            floor,
            dep,
            dep_floors[0],
        ))

def floor_library(name, floor, deps = [], room = None, hdrs = None, srcs = None, internal = False, tags = [], **kwargs):
    """Declares a cc_library on one floor.

    Args:
      name: the name of its files, without extension.
      floor: base, wire, io, pki, tls, proxy, watch, or one of the edges linux and testing.
      deps: ":name" of targets above in the same file, or labels of other repositories. No select().
      room: the folder of lib/<floor>/ that has its files.
      hdrs: public headers, default include/trestle/<floor>/<name>.h; of an internal target lib/<floor>/<name>.h.
      srcs: sources and private headers, default lib/<floor>/<name>.cc if it exists.
      internal: only this workspace can depend on it.
      tags: further tags.
      **kwargs: passed to cc_library.
    """
    for dep in deps:
        _check_dep(name, floor, dep)
    stem = "lib/{}/{}".format(floor, name) if room == None else "lib/{}/{}/{}".format(floor, room, name)
    header = stem + ".h" if internal else "include/trestle/{}/{}.h".format(floor, name)
    native.cc_library(
        name = name,
        srcs = srcs if srcs != None else native.glob([stem + ".cc"], allow_empty = True),
        hdrs = hdrs if hdrs != None else [header],
        includes = ["include"],
        linkstatic = True,
        tags = tags + [_TAG + floor] + (["internal"] if internal else []),
        visibility = ["//:__subpackages__"] if internal else ["//visibility:public"],
        deps = deps + _ABSEIL,
        **kwargs
    )
