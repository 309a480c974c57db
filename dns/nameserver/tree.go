package nameserver

import (
	"maps"
	"strings"
)

// tree is all zones of a server at one moment. It never changes.
type tree struct {
	zones map[string]*version // by origin, in normal form
	// above holds every name above the origin of a zone. Such a name exists, also
	// where the zone around it has no record below: whoever is told otherwise never
	// asks for the zone (RFC 8020).
	above map[string]struct{}
}

// plant makes a tree of zones.
func plant(zones map[string]*version) *tree {
	t := &tree{zones: zones, above: map[string]struct{}{}}
	for origin := range zones {
		for name := origin; name != ""; {
			name = parent(name)
			if _, known := t.above[name]; known {
				break
			}
			t.above[name] = struct{}{}
		}
	}
	return t
}

// with is the tree with some zones put in, or in the place of those of the same
// origin, and the zones of some origins taken out.
func (t *tree) with(set []*version, drop []string) *tree {
	zones := maps.Clone(t.zones)
	for _, origin := range drop {
		delete(zones, origin)
	}
	for _, v := range set {
		zones[v.origin] = v
	}
	return plant(zones)
}

// closest is the zone with the longest origin that holds name, or nil.
func (t *tree) closest(name string) *version {
	for {
		if z, ok := t.zones[name]; ok {
			return z
		}
		if name == "" {
			return nil
		}
		name = parent(name)
	}
}

// find returns what stands at a name of a zone, by wildcard if need be, and where
// that is; nil when the name does not exist.
func (t *tree) find(v *version, name string) (n node, at string) {
	if n, ok := t.at(v, name); ok {
		return n, name
	}
	// RFC 4592, section 3.3.1: the wildcard below the closest name that exists.
	for name != v.origin {
		name = parent(name)
		if _, ok := t.at(v, name); ok {
			wild := strings.TrimSuffix("*."+name, ".")
			return v.nodes[wild], wild
		}
	}
	return nil, ""
}

// at returns what stands at exactly a name; an empty node where there is nothing
// but a zone below.
func (t *tree) at(v *version, name string) (n node, ok bool) {
	if n, ok = v.nodes[name]; ok {
		return n, true
	}
	if _, ok = t.above[name]; ok {
		return node{}, true
	}
	return nil, false
}
