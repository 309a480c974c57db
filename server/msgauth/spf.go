package msgauth

import (
	"context"

	"blitiri.com.ar/go/spf"

	"postern/dns"
	"postern/server/message"
)

var spfValues = map[spf.Result]Value{
	spf.None: None, spf.Pass: Pass, spf.Fail: Fail, spf.SoftFail: SoftFail, spf.Neutral: Neutral,
	spf.TempError: TempError, spf.PermError: PermError,
}

// spf asks whether the host may use the return path. The library keeps the
// limits of RFC 7208, section 4.6.4: ten lookups, two of them void.
func (c *Checker) spf(ctx context.Context, f Facts) SPF {
	from := f.From
	helo := from.IsNull()
	if helo { // RFC 7208, section 2.4
		from = message.Path{Local: "postmaster", Domain: f.Helo}
	}
	domain, err := dns.Name(from.Domain)
	if err != nil || !f.Remote.IsValid() {
		return SPF{} // an address literal publishes nothing (section 4.3)
	}
	sender := message.Path{Local: from.Local, Domain: domain}.String()
	result, _ := spf.CheckHostWithSender(f.Remote.Unmap().WithZone("").AsSlice(), f.Helo, sender,
		spf.WithContext(ctx), spf.WithResolver(lookup{c.Resolver}))
	out := SPF{Value: spfValues[result], Domain: domain, Helo: helo}
	if ctx.Err() != nil && out.Value != Pass {
		out.Value = TempError
	}
	return out
}
