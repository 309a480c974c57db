package directory

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/storage"
)

func TestToken(t *testing.T) {
	for _, env := range []storage.Environment{storage.Live, storage.Test} {
		token := NewToken(env)
		got, err := ParseToken(token.Secret())
		if err != nil || got != token || got.Environment() != env {
			t.Fatalf("%v, %v", got, err)
		}
		if len(token.Secret()) != 47 || !strings.HasPrefix(token.Secret(), "pst_"+string(env)+"_"+token.PublicID()) {
			t.Errorf("form of a token of %d characters", len(token.Secret()))
		}
	}
}

// TestTokenChecksum changes each character: none may pass, so that a typing
// error never costs a look-up.
func TestTokenChecksum(t *testing.T) {
	secret := NewToken(storage.Live).Secret()
	for i := range secret {
		for _, c := range "0aZ_" {
			changed := secret[:i] + string(c) + secret[i+1:]
			if _, err := ParseToken(changed); changed != secret && !errors.Is(err, ErrToken) {
				t.Errorf("position %d as %q passes", i, c)
			}
		}
	}
	for _, bad := range []string{"", "pst_live_", secret + "x", secret[1:], "pst_prod_" + secret[9:], strings.ToUpper(secret)} {
		if _, err := ParseToken(bad); !errors.Is(err, ErrToken) {
			t.Errorf("%q passes", bad)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(NewToken(storage.Test).Secret())
	f.Add("pst_live_")
	f.Fuzz(func(t *testing.T, s string) {
		token, err := ParseToken(s)
		if err == nil && (token.Secret() != s || len(token.PublicID()) != publicLength) {
			t.Errorf("%q parsed as %q", s, token.Secret())
		}
	})
}

func TestThrottleIsBounded(t *testing.T) {
	th := newThrottle()
	now := time.Unix(1e9, 0)
	attacker := netip.MustParseAddr("2001:db8::1")
	for range failureBurst {
		th.failed(attacker, now)
	}
	if !th.full(attacker, now) || !th.full(netip.MustParseAddr("2001:db8::ffff"), now) {
		t.Error("a /64 with a burst of failures is not slowed")
	}
	if th.full(netip.MustParseAddr("2001:db8:0:1::1"), now) {
		t.Error("another /64 is slowed")
	}
	if th.full(attacker, now.Add(failureRefill+time.Second)) {
		t.Error("nothing drains")
	}
	for i := range maxNetworks + 1000 {
		th.failed(netip.MustParseAddr(fmt.Sprintf("10.%d.%d.1", i>>8&0xff, i&0xff)), now)
		th.failed(netip.MustParseAddr(fmt.Sprintf("11.%d.%d.1", i>>8&0xff, i&0xff)), now)
		th.learn([]byte(fmt.Sprintf("%032d", i)))
	}
	if len(th.networks) > maxNetworks || th.order.Len() != len(th.networks) || len(th.familiar) > maxFamiliar {
		t.Errorf("%d networks, %d in order, %d tokens", len(th.networks), th.order.Len(), len(th.familiar))
	}
}
