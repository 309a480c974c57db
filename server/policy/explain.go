package policy

import (
	"github.com/google/uuid"

	"postern/storage"
)

// Value is one value that counts, and where it comes from.
type Value struct {
	Key   Key
	Value string              // canonical
	Level storage.PolicyLevel // at which it counts
	From  uuid.UUID           // for which it is set; zero: it is a default
}

// Explain says which values count, of the policies of everything that something
// stands under, the widest first. Of a setting of which each level's own counts
// there may be several; of any other there is the one that wins, and of equal ones
// the widest.
func Explain(policies []storage.Policy) []Value {
	var all []Value
	for i := range settings {
		s := &settings[i]
		values := s.values(policies)
		if s.Join == Each {
			all = append(all, values...)
			continue
		}
		if i := s.tightest(values); i >= 0 {
			all = append(all, values[i])
		}
	}
	return all
}

// values are what counts of a setting: the default where its level set nothing,
// and what the levels set.
func (s *Setting) values(policies []storage.Policy) []Value {
	var all []Value
	missing := s.Default != ""
	for i := range policies {
		p := &policies[i]
		if text, ok := p.Values[string(s.Key)]; ok {
			all = append(all, Value{s.Key, text, p.Level, p.Target})
			missing = missing && p.Level != s.DefaultLevel
		}
	}
	if missing {
		all = append([]Value{{Key: s.Key, Value: s.Default, Level: s.DefaultLevel}}, all...)
	}
	return all
}

// tightest is the index of the value that wins; -1 when there is none.
func (s *Setting) tightest(values []Value) int {
	best := -1
	for i := range values {
		if best < 0 || s.tighter(values[i].Value, values[best].Value) {
			best = i
		}
	}
	return best
}

// tighter reports whether a value that is no list asks for more than another.
func (s *Setting) tighter(a, b string) bool {
	if s.Join == Most {
		return s.rank(a) > s.rank(b)
	}
	return s.rank(a) < s.rank(b)
}
