package main_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// way is a way into the server: a port, its kind of TLS, and the mechanism with
// which a client says who it is.
type way struct {
	name, addr string
	tls        string // "", "starttls" or "implicit"
	auth       string // "", "PLAIN" or "LOGIN"
}

func (d *dev) ways() []way {
	return []way{
		{"25", d.SMTP, "", ""},
		{"25 with STARTTLS", d.SMTP, "starttls", ""},
		{"465 PLAIN", d.Submissions, "implicit", "PLAIN"},
		{"465 LOGIN", d.Submissions, "implicit", "LOGIN"},
		{"587 PLAIN", d.Submission, "starttls", "PLAIN"},
		{"587 LOGIN", d.Submission, "starttls", "LOGIN"},
	}
}

// parcel is what a client is asked to send.
type parcel struct {
	way
	from    account // of a stranger on port 25: without a token
	to      string
	letters []letter
}

// TestStockClientsDeliver: what swaks, Python's smtplib and curl send over ports
// 25, 465 and 587 arrives octet for octet.
func TestStockClientsDeliver(t *testing.T) {
	d := startDev(t, binary(t, ""), filepath.Join(t.TempDir(), "dev"))
	for _, client := range []struct {
		name string
		send func(testing.TB, *dev, parcel)
	}{
		{"swaks", swaks}, {"smtplib", smtplib}, {"curl", curlSend},
	} {
		t.Run(client.name, func(t *testing.T) {
			d := d.in(t)
			for _, w := range d.ways() {
				t.Run(w.name, func(t *testing.T) { delivers(t, d.in(t), w, client.name, client.send) })
			}
		})
	}
}

// choose takes the letters that go one way: where TLS alone or the mechanism is
// another than before, fewer.
func (w way) choose(all []letter) []letter {
	switch w.name {
	case "25", "587 PLAIN":
		return all[:len(all)-1]
	case "25 with STARTTLS", "587 LOGIN":
		return all[1:2]
	case "465 LOGIN":
		return all[:1]
	}
	return all
}

// delivers sends letters one way.
func delivers(t *testing.T, d *dev, w way, client string, send func(testing.TB, *dev, parcel)) {
	name := strings.ToLower(strings.NewReplacer(" ", "-").Replace(client + "-" + w.name))
	p := parcel{way: w, from: account{inbox: "ada@elsewhere.test"}}
	to := d.account(name + "-to@dev.test")
	p.to = to.inbox
	if w.auth != "" {
		p.from = d.account(name + "-from@dev.test")
	}
	p.letters = w.choose(letters(p.from.inbox, p.to))
	send(t, d, p)
	c := d.open(to)
	until(t, "the letters arrive", func() bool {
		s, err := c.Select("INBOX", nil).Wait()
		return err == nil && int(s.NumMessages) >= len(p.letters)
	})
	got := d.read(c, "INBOX")
	checkAll(t, p.letters, got)
	for _, m := range got {
		checkTrace(t, w, m.view)
	}
}

// checkTrace: RFC 3848 names the protocol by what was used. A stranger's is in
// the field that we put on top; an agent's message has come to us already when
// it is delivered, and its field is that of the submission.
func checkTrace(t testing.TB, w way, view []byte) {
	t.Helper()
	head, _, _ := bytes.Cut(view, []byte("\r\n\r\n"))
	_, received, ok := bytes.Cut(head, []byte("Received:"))
	with := map[string]string{"": "ESMTP", "starttls": "ESMTPS", "implicit": "ESMTPS"}[w.tls]
	if w.auth != "" {
		with += "A"
	}
	if !ok || !strings.Contains(strings.Join(strings.Fields(string(received)), " ")+" ", " with "+with+" ") {
		t.Errorf("no Received field with %s:\n%s", with, head)
	}
}

// swaks sends each letter by a call of swaks.
func swaks(t testing.TB, d *dev, p parcel) {
	bin := needs(t, "swaks")
	for _, l := range p.letters {
		// swaks adds the end of the last line by itself.
		data := file(t, "letter", bytes.TrimSuffix(l.data, []byte("\r\n")))
		mustTool(t, nil, bin, p.swaksArgs(d, "--data", "@"+data)...)
	}
}

func (p parcel) swaksArgs(d *dev, more ...string) []string {
	args := []string{"--server", "localhost", "--port", port(d.t, p.addr), "--ehlo", "client.test", "--from", p.from.inbox, "--to", p.to, "--timeout", "20s"}
	switch p.tls {
	case "starttls":
		args = append(args, "--tls")
	case "implicit":
		args = append(args, "--tls-on-connect")
	}
	if p.tls != "" {
		args = append(args, "--tls-verify", "--tls-ca-path", d.CAFile)
	}
	if p.auth != "" {
		args = append(args, "--auth", p.auth, "--auth-user", p.from.inbox, "--auth-password", p.from.token)
	}
	return append(args, more...)
}

// sendJob is what testdata/send.py reads.
type sendJob struct {
	Port  string   `json:"port"`
	TLS   string   `json:"tls"`
	CA    string   `json:"ca"`
	Auth  string   `json:"auth"`
	User  string   `json:"user"`
	Token string   `json:"token"`
	From  string   `json:"from"`
	To    string   `json:"to"`
	Files []string `json:"files"`
}

func (p parcel) job(d *dev) sendJob {
	return sendJob{Port: port(d.t, p.addr), TLS: p.tls, CA: d.CAFile, Auth: p.auth, User: p.from.inbox, Token: p.from.token, From: p.from.inbox, To: p.to}
}

// smtplib sends all letters in one session of Python's library.
func smtplib(t testing.TB, d *dev, p parcel) {
	job := p.job(d)
	for _, l := range p.letters {
		job.Files = append(job.Files, file(t, "letter", l.data))
	}
	var answer struct {
		Sent int
		Code int
	}
	if python(t, "send.py", job, &answer); answer.Sent != len(p.letters) {
		t.Errorf("smtplib sent %d of %d letters, and the last reply was %d", answer.Sent, len(p.letters), answer.Code)
	}
}

// curlSend sends each letter by a call of curl.
func curlSend(t testing.TB, d *dev, p parcel) {
	bin := needs(t, "curl")
	url, args := "smtp://localhost:"+port(t, p.addr)+"/client.test", []string{"--no-progress-meter", "--verbose", "--cacert", d.CAFile, "--mail-from", p.from.inbox, "--mail-rcpt", p.to}
	switch p.tls {
	case "starttls":
		args = append(args, "--ssl-reqd")
	case "implicit":
		url = "smtps" + strings.TrimPrefix(url, "smtp")
	}
	if p.auth != "" {
		args = append(args, "--user", p.from.inbox+":"+p.from.token, "--login-options", "AUTH="+p.auth)
	}
	for _, l := range p.letters {
		mustTool(t, nil, bin, append(args, "--upload-file", file(t, "letter", l.data), url)...)
	}
}

// TestAC10_StockClientsAuthenticateOverTLSAlone: without TLS neither port offers
// AUTH, and a client that tries is refused without its password being looked at.
func TestAC10_StockClientsAuthenticateOverTLSAlone(t *testing.T) {
	d := startDev(t, binary(t, ""), filepath.Join(t.TempDir(), "dev"))
	from := account{d.Agents[0].Inbox, d.Agents[0].Token}
	for _, w := range []way{{"25", d.SMTP, "", "PLAIN"}, {"587", d.Submission, "", "PLAIN"}} {
		p := parcel{way: w, from: from, to: d.Agents[1].Inbox}
		t.Run("swaks "+w.name, func(t *testing.T) {
			d := d.in(t)
			out, err := tool(t, nil, needs(t, "swaks"), p.swaksArgs(d)...)
			if err == nil || !strings.Contains(out, "did not advertise authentication") {
				t.Errorf("swaks: %v\n%s", err, ending(out))
			}
			if strings.Contains(out, " AUTH") {
				t.Errorf("AUTH is offered:\n%s", out)
			}
		})
		t.Run("smtplib "+w.name, func(t *testing.T) {
			d := d.in(t)
			var answer map[string]int
			python(t, "auth.py", p.job(d), &answer)
			for command, code := range answer {
				if code < 500 || code == 535 {
					t.Errorf("%s in clear is answered %d", command, code)
				}
			}
			if len(answer) != 3 {
				t.Errorf("only %v", answer)
			}
		})
	}
	if len(d.mailbox(account{d.Agents[1].Inbox, d.Agents[1].Token}, "INBOX")) > 0 {
		t.Error("a message arrived")
	}
}

// TestStockClientsWithAWrongToken: 535 5.7.8 (RFC 4954, section 6), and no
// message.
func TestStockClientsWithAWrongToken(t *testing.T) {
	d := startDev(t, binary(t, ""), filepath.Join(t.TempDir(), "dev"))
	for _, w := range d.ways()[2:] {
		// Of the right form, checksum apart; and one that another agent has.
		for name, token := range map[string]string{"bad": "pst_live_" + strings.Repeat("0", 38), "foreign": d.Agents[1].Token} {
			p := parcel{way: w, from: account{d.Agents[0].Inbox, token}, to: d.Agents[1].Inbox}
			t.Run("swaks "+w.name+" "+name, func(t *testing.T) {
				out, err := tool(t, nil, needs(t, "swaks"), p.swaksArgs(d.in(t))...)
				if err == nil || !strings.Contains(out, "535 5.7.8") {
					t.Errorf("swaks: %v\n%s", err, ending(out))
				}
			})
			t.Run("smtplib "+w.name+" "+name, func(t *testing.T) {
				job := p.job(d.in(t))
				job.Files = []string{file(t, "letter", letters(p.from.inbox, p.to)[0].data)}
				var answer struct{ Sent, Code int }
				if python(t, "send.py", job, &answer); answer.Sent != 0 || answer.Code != 535 {
					t.Errorf("%+v", answer)
				}
			})
		}
	}
	if len(d.mailbox(account{d.Agents[1].Inbox, d.Agents[1].Token}, "INBOX")) > 0 {
		t.Error("a message arrived")
	}
}
