package relay

import (
	"encoding/base64"
	"slices"
	"strings"
)

// authenticate logs in at a smart host (RFC 4954), always inside of TLS. A
// refusal is temporary whatever its class: a password that somebody mistyped in
// our configuration shall not return everybody's mail.
func (s *session) authenticate(user, password string) *fault {
	mechanisms := strings.Fields(strings.ToUpper(s.ext["AUTH"]))
	encode := base64.StdEncoding.EncodeToString
	var lines []string
	switch {
	case slices.Contains(mechanisms, "PLAIN"):
		lines = []string{"AUTH PLAIN " + encode([]byte("\x00"+user+"\x00"+password))} // RFC 4616
	case slices.Contains(mechanisms, "LOGIN"):
		lines = []string{"AUTH LOGIN", encode([]byte(user)), encode([]byte(password))}
	default:
		return temporary(AuthFailed, "4.7.4")
	}
	for i, line := range lines {
		r, err := s.command(s.timeouts.Command, line)
		if err != nil {
			return faultOf(s.ctx, err)
		}
		want := 334
		if i == len(lines)-1 {
			want = 235
		}
		if r.code != want {
			f := temporary(AuthFailed, "4.7.8")
			f.code, f.text = r.code, r.text
			return f
		}
	}
	return nil
}
