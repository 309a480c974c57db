package msgauth

import (
	"bytes"
	"crypto/sha256"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/server/message"
)

func FuzzParseTags(f *testing.F) {
	f.Add(" v=1; a=rsa-sha256;\r\n\tb = AA AA ;")
	f.Add("a=1;;b=2")
	f.Fuzz(func(t *testing.T, s string) {
		list, ok := parseTags(s)
		if !ok {
			return
		}
		seen := map[string]bool{}
		for _, one := range list {
			if seen[one.name] || one.name == "" || strings.Trim(s[one.start:one.end], fws) != one.value || s[one.start-1] != '=' {
				t.Errorf("%q: %+v", s, one)
			}
			seen[one.name] = true
		}
		if len(list) > maxTags {
			t.Errorf("%d tags", len(list))
		}
	})
}

func FuzzParseSignature(f *testing.F) {
	f.Add(" v=1; a=ed25519-sha256; d=example.com; s=a; h=From:To; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA; c=relaxed; l=1; t=1; x=2; i=@a.example.com")
	f.Fuzz(func(t *testing.T, body string) {
		header := []byte("DKIM-Signature:" + body)
		x := indexFields(header)
		for _, field := range x.all("dkim-signature") {
			s, ok := parseSignature(field, "simple/simple", time.Unix(1, 0))
			if !ok {
				continue
			}
			if s.domain == "" || s.selector == "" || len(s.bodyHash) != sha256.Size || len(s.value) == 0 || len(s.headers) == 0 || s.length < -1 {
				t.Errorf("%q: %+v", body, s)
			}
			x.headerDigest(s)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=; t=y:s")
	f.Add("p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL")
	f.Fuzz(func(t *testing.T, record string) {
		k, ok := parseKey(record)
		if !ok {
			return
		}
		if (k.rsa == nil) == (k.ed25519 == nil) || k.rsa != nil && k.rsa.N.BitLen() < minRSA {
			t.Errorf("%q: %+v", record, k)
		}
		k.verify("rsa-sha256", make([]byte, sha256.Size), []byte("x"))
		k.verify("ed25519-sha256", make([]byte, sha256.Size), []byte("x"))
	})
}

// A body in any pieces has the canonical form that RFC 6376, section 3.4 tells
// in words.
func FuzzCanonicalBody(f *testing.F) {
	f.Add([]byte(" C \r\nD \t E\r\n\r\n\r\n"), 3)
	f.Add([]byte("\r\r\n \n\r"), 1)
	f.Fuzz(func(t *testing.T, body []byte, piece int) {
		for _, relaxed := range []bool{false, true} {
			c := canonicalBody{relaxed: relaxed}
			d := c.digest(-1)
			for rest := body; len(rest) > 0; {
				n := min(max(piece, 1), len(rest))
				c.Write(rest[:n])
				rest = rest[n:]
			}
			c.close()
			want := canonicalText(string(body), relaxed)
			if sum := sha256.Sum256([]byte(want)); !bytes.Equal(sum[:], d.hash.Sum(nil)) || d.size != int64(len(want)) {
				t.Errorf("relaxed %t: %q is not %q", relaxed, body, want)
			}
		}
	})
}

func canonicalText(body string, relaxed bool) string {
	lines := strings.Split(body, "\r\n")
	if relaxed {
		for i, line := range lines {
			line = strings.TrimRight(line, " \t")
			for strings.ContainsAny(line, "\t") || strings.Contains(line, "  ") {
				line = strings.ReplaceAll(strings.ReplaceAll(line, "\t", " "), "  ", " ")
			}
			lines[i] = line
		}
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if relaxed && len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

func FuzzSPF(f *testing.F) {
	f.Add("v=spf1 a:%{l1r-}.%{d}/24//64 mx ip4:192.0.2.0/24 ip6:2001:db8::/32 ?exists:%%%_%-.%{I}.test redirect=%{H}.test exp=a.test zz=1", "a-b", "[h]")
	f.Add("v=spf1 ~include:a.test -all", "", "")
	f.Fuzz(func(t *testing.T, txt, local, helo string) {
		record, ok := parseSPF(txt)
		if !ok {
			return
		}
		e := &spfEvaluation{ip: netip.MustParseAddr("2001:db8::1"), local: local, origin: "origin.test", helo: helo, named: true}
		specs := []string{record.redirect}
		for _, term := range record.terms {
			specs = append(specs, term.domain)
			if term.mechanism == "" || term.bits4 > 32 || term.bits6 > 128 {
				t.Errorf("%q: %+v", txt, term)
			}
		}
		for _, spec := range specs {
			if name := e.expand(spec, "domain.test"); len(name) > maxSpec+1 {
				t.Errorf("%q: a name of %d octets", spec, len(name))
			}
		}
	})
}

func FuzzParseDMARC(f *testing.F) {
	f.Add("v=DMARC1; p=reject; sp=none; np=quarantine; pct=20; aspf=s; t=y")
	f.Fuzz(func(t *testing.T, txt string) {
		if r, err := parseDMARC(txt); err == nil && (r.percent < 0 || r.percent > 100 || r.policy > lastPolicy || r.subdomains > lastPolicy || r.absent > lastPolicy) {
			t.Errorf("%q: %+v", txt, r)
		}
		isDMARC(txt)
	})
}

// A chain is broken, or each of its sets is whole.
func FuzzARC(f *testing.F) {
	set := "ARC-Seal: i=1; a=ed25519-sha256; d=a.test; s=s; cv=none; b=AAAA\r\nARC-Message-Signature: i=1; a=ed25519-sha256; d=a.test; s=s; h=from; " +
		"bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\nARC-Authentication-Results: i=1; x; dmarc=pass\r\n"
	f.Add(set)
	f.Add(strings.NewReplacer("i=1", "i=2", "cv=none", "cv=pass").Replace(set) + set)
	c := &Checker{Now: func() time.Time { return time.Unix(1, 0) }}
	f.Fuzz(func(t *testing.T, header string) {
		m := &mail{fields: indexFields([]byte(header))}
		chain := c.readARC(m)
		if chain.value != Pass {
			return
		}
		for i, set := range chain.sets {
			if set.has != [3]bool{true, true, true} || set.seal == nil || len(set.sealed) != sha256.Size || (i == 0) != (set.validated == "none") {
				t.Errorf("set %d: %+v", i+1, set)
			}
		}
		if len(chain.sets) > maxSets || chain.newest == nil || chain.newest.body == nil {
			t.Errorf("%+v", chain)
		}
		saidOf(chain.sets[0].said, "dmarc")
	})
}

// What nobody signed never passes, whatever it looks like.
func FuzzUnsigned(f *testing.F) {
	f.Add("From: a@b.test\r\nDKIM-Signature: v=1; a=rsa-sha256; d=b.test; s=s; h=From; b=AAAA; bh=AAAA\r\n\r\nx\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		parsed := message.Parse(strings.NewReader(text), int64(len(text)))
		header, err := message.ReadHeader(strings.NewReader(text), parsed)
		if err != nil {
			return
		}
		m := &mail{Facts: Facts{Data: strings.NewReader(text), Parsed: parsed}, fields: indexFields(header)}
		c := &Checker{Now: func() time.Time { return time.Unix(1, 0) }}
		d := c.readDKIM(m)
		c.readARC(m)
		if len(d.results) > maxSignatures {
			t.Errorf("%d results", len(d.results))
		}
		for _, r := range d.results {
			if r.Value != PermError {
				t.Errorf("%+v before any key", r)
			}
		}
		author(m)
	})
}
