package policy_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/server/policy"
	"postern/storage"
)

// TestPI3_Allowance: an exception holds for the address or the domain that it names,
// for mail that provably comes from there, until it ends.
func TestPI3_Allowance(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := uuid.MustParse("0198c0de-0000-7000-8000-0000000000aa")
	of := func(sender string, expires time.Time) []storage.Allowance {
		return []storage.Allowance{{Head: storage.Head{ID: uuid.New()}, Sender: "else@where.test"}, {Head: storage.Head{ID: id}, Sender: sender, Expires: expires}}
	}
	for _, c := range []struct {
		name string
		all  []storage.Allowance
		from policy.Author
		want bool
	}{
		{"the address", of("ada@sender.test", time.Time{}), policy.Author{"ada@sender.test", true}, true},
		{"the domain", of("sender.test", time.Time{}), policy.Author{"ada@sender.test", true}, true},
		{"not verified", of("sender.test", time.Time{}), policy.Author{"ada@sender.test", false}, false},
		{"another address", of("bob@sender.test", time.Time{}), policy.Author{"ada@sender.test", true}, false},
		{"a domain below", of("sender.test", time.Time{}), policy.Author{"ada@mail.sender.test", true}, false},
		{"a domain above", of("mail.sender.test", time.Time{}), policy.Author{"ada@sender.test", true}, false},
		{"a domain that ends alike", of("sender.test", time.Time{}), policy.Author{"ada@mysender.test", true}, false},
		{"a local part that looks like one", of("sender.test", time.Time{}), policy.Author{"sender.test@evil.test", true}, false},
		{"an @ in quotes", of("sender.test", time.Time{}), policy.Author{`"ada@sender.test"@evil.test`, true}, false},
		{"nobody", of("sender.test", time.Time{}), policy.Author{"", true}, false},
		{"before its end", of("sender.test", now.Add(time.Second)), policy.Author{"ada@sender.test", true}, true},
		{"at its end", of("sender.test", now), policy.Author{"ada@sender.test", true}, false},
		{"none", nil, policy.Author{"ada@sender.test", true}, false},
	} {
		got, ok := policy.Allowance(c.all, c.from, now)
		if ok != c.want || ok != (got == id) {
			t.Errorf("%s: %v %v", c.name, got, ok)
		}
	}
}

// TestAllowedSender: what a person writes has one canonical text; patterns are not taken.
func TestAllowedSender(t *testing.T) {
	for text, want := range map[string]string{
		"Ada@Sender.TEST": "ada@sender.test", " sender.test ": "sender.test", "SENDER.test": "sender.test",
		"*.sender.test": "", "*": "", "": "", "a b@c.test": "", "sender test": "",
	} {
		got, err := policy.AllowedSender(text)
		if got != want && !(want == "ada@sender.test" && got == "Ada@sender.test") || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
