package server

import (
	"io"
	"text/template"
)

// greeting is what a person reads when the laboratory is ready.
const greeting = `Postern {{.Version}} is running as a laboratory on this machine. Nothing leaves it: mail to
the outside is relayed to a server here that takes it and forgets it.

  receive mail   {{.SMTP}}   SMTP, with STARTTLS
  send mail      {{.Submissions}}   submission over TLS
                 {{.Submission}}   submission with STARTTLS
  read mail      {{.IMAPS}}   IMAP over TLS
  name server    {{.DNS}}
  well-known     {{.HTTPS}}   MTA-STS policy, settings of mail programs; in clear at {{.HTTP}}
  panel          {{.Panel}}   {{.Admin.Name}} signs in, once, by
                 {{.PanelLogin}}
  certificate    {{.CAFile}}
  control        {{.Control}}      as in: postern --control {{.Control}} agent list
  admin          {{.Admin.Name}}      POSTERN_SESSION={{.Admin.Session}}
{{range .Agents}}
  agent {{.Name}}
    login        {{.Login}}
    token        {{.Token}}
{{end}}
Try it:
{{with index .Agents 0}}
  curl --cacert {{$.CAFile}} --user {{.Login}}:{{.Token}} 'imaps://{{$.IMAPS}}/INBOX?ALL'
  curl --cacert {{$.CAFile}} --user {{.Login}}:{{.Token}} 'imaps://{{$.IMAPS}}/INBOX;UID=1'
  printf 'From: {{.Inbox}}\r\nTo: you@example.com\r\nSubject: hello\r\n\r\nHello.\r\n' | curl --cacert {{$.CAFile}} --user {{.Login}}:{{.Token}} \
    --mail-from {{.Inbox}} --mail-rcpt you@example.com --upload-file - smtps://{{$.Submissions}}
{{end}}
Outside, temperror@, permerror@ and timeout@ fail as their names say, and nothing below
.invalid exists. Ctrl-C stops.
`

func (r *Ready) print(w io.Writer) error {
	t, err := template.New("greeting").Parse(greeting)
	if err != nil {
		return err
	}
	return t.Execute(w, r)
}
