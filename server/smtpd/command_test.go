package smtpd

import (
	"strings"
	"testing"

	"postern/server/message"
)

func TestParseMail(t *testing.T) {
	long := strings.Repeat("a", 65)
	for arg, want := range map[string]reply{
		"FROM:<>": {}, "from:<a@b.test>": {}, "FROM: <a@b.test>": {}, "FROM:a@b.test": {}, "FROM:<@x.test,@y.test:a@b.test>": {},
		`FROM:<"a b"@b.test> SIZE=12`: {}, `FROM:<"a>\""@b.test> BODY=8bitmime SMTPUTF8`: {}, "FROM:<a@[192.0.2.1]>": {},
		"FROM:<ü@b.test> SMTPUTF8": {}, "FROM:<a@b.test> SIZE=99999999999999999999": {}, "FROM:<a@b.test>  SIZE=1": {},

		"": badMail, "FROM": badMail, "FROM:": badMail, "TO:<a@b.test>": badMail, "FROM:<a@b.test>SIZE=1": badMail,
		"FROM:<ü@b.test>": needUTF8, "FROM:<a@b.test": badSender, "FROM:<postmaster>": badSender, "FROM:<a@b..test>": badSender,
		"FROM:<a@-b.test>": badSender, "FROM:<a>": badSender, "FROM:<a@b_c.test>": badSender, "FROM:<" + long + "@b.test>": badSender,
		"FROM:<a\tb@b.test>": badSender, "FROM:<a@192.0.2.1>": badSender, "FROM:<a b@b.test>": badSender,
		"FROM:<a@b.test> SIZE=": badParameter, "FROM:<a@b.test> SIZE=x": badParameter, "FROM:<a@b.test> SIZE": badParameter,
		"FROM:<a@b.test> SIZE=1 SIZE=2": badParameter, "FROM:<a@b.test> SIZE=1=2": badParameter, "FROM:<a@b.test> =1": badParameter,
		"FROM:<a@b.test> SMTPUTF8=1": badParameter, "FROM:<a@b.test> BODY=BINARYMIME": badBody, "FROM:<a@b.test> X=1": badUnknown,
		"FROM:<a@b.test> AUTH=<>": badUnknown, "FROM:<a@b.test> RET=FULL": badUnknown, "FROM:<a@b.test> BY=1;R": badUnknown,
		"FROM:<a@b.test> MT-PRIORITY=9": badUnknown, "FROM:<a@b.test> SIZE=1 b@c.test": badParameter,
	} {
		_, bad, ok := parseMail(arg, false)
		if ok != (want.code == 0) || !ok && bad != want {
			t.Errorf("%q: %v %v", arg, bad, ok)
		}
	}
	if _, _, ok := parseMail("FROM:<a@b.test> AUTH=<>", true); !ok {
		t.Error("RFC 4954, section 5: AUTH= belongs to AUTH")
	}
}

func TestParseRcpt(t *testing.T) {
	for arg, want := range map[string]reply{
		"TO:<a@b.test>": {}, "TO:<postmaster>": {}, "to:<PostMaster>": {}, `TO:<"a b"@b.test>`: {},
		"TO:<>": badRecipient, "TO:": badRcpt, "TO:<a@b.test> NOTIFY=NEVER": badUnknown, "TO:<ü@b.test>": needUTF8,
		"TO:<a@x..invalid>": badRecipient, "TO:<a@b.test> BY=1;R": badUnknown, "TO:<a@b.test> MT-PRIORITY=3": badUnknown,
	} {
		_, bad, ok := parseRcpt(arg, false)
		if ok != (want.code == 0) || !ok && bad != want {
			t.Errorf("%q: %v %v", arg, bad, ok)
		}
	}
	e, _, _ := parseRcpt(`TO:<"a b"@b.test>`, false)
	if e.path != (message.Path{Local: "a b", Domain: "b.test"}) {
		t.Errorf("%+v", e.path)
	}
}

func TestRFC3030_ParseChunk(t *testing.T) {
	for arg, want := range map[string]struct {
		size int64
		last bool
		ok   bool
	}{
		"0": {0, false, true}, "5": {5, false, true}, "5 LAST": {5, true, true}, "5 last": {5, true, true}, "5  LAST": {5, true, true},
		"18446744073709551616": {1<<63 - 1, false, true},
		"":                     {}, "LAST": {}, "-1": {}, "5 FIRST": {}, "5 LAST LAST": {}, "0x5": {}, "5,LAST": {}, "+5": {}, "123456789012345678901": {},
	} {
		size, last, ok := parseChunk(arg)
		if ok != want.ok || ok && (size != want.size || last != want.last) {
			t.Errorf("%q: %d %v %v", arg, size, last, ok)
		}
	}
}

func TestHelloName(t *testing.T) {
	for arg, want := range map[string]string{
		"": "", "client.test": "client.test", "[192.0.2.1] x": "[192.0.2.1]", "a\tb": "a?b", "ü\xff": "??", strings.Repeat("a", 300): strings.Repeat("a", 255),
	} {
		if got := helloName(arg); got != want {
			t.Errorf("%q: %q", arg, got)
		}
	}
}
