package mail

import (
	"html/template"
	"strings"
)

// layout is a mail with all of its words.
type layout struct {
	Language, Subject string
	Before, After     []string
	Reset             string // where one asks for another password; empty: it is not said
	Action, Link      string // empty: there is no link
	Paste, Token      string
	Footer            string
}

func (l layout) text() string {
	parts := append([]string{}, l.Before...)
	if l.Link != "" {
		parts = append(parts, l.Action+":\n"+l.Link)
	}
	if l.Token != "" {
		parts = append(parts, l.Paste+"\n"+l.Token)
	}
	parts = append(parts, l.After...)
	if l.Reset != "" {
		parts = append(parts, l.Reset)
	}
	parts = append(parts, "-- \n"+l.Footer)
	return strings.Join(parts, "\n\n") + "\n"
}

// htmlPage has its styles where they are used, since mail programs drop others, and
// fetches nothing.
var htmlPage = template.Must(template.New("mail").Parse(`<!DOCTYPE html>
<html lang="{{.Language}}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Subject}}</title></head>
<body style="font-family: sans-serif; font-size: 16px; line-height: 1.5; margin: 0; padding: 24px">
<div style="max-width: 560px; margin: 0 auto">
{{range .Before}}<p>{{.}}</p>
{{end}}
{{- if .Link}}<p style="margin: 24px 0"><a href="{{.Link}}" style="background: #1a5fb4; border-radius: 6px; color: #ffffff; display: inline-block; padding: 12px 20px; text-decoration: none">{{.Action}}</a></p>
{{end}}
{{- if .Token}}<p>{{.Paste}}<br><code style="font-size: 15px; word-break: break-all">{{.Token}}</code></p>
{{end}}
{{- range .After}}<p>{{.}}</p>
{{end -}}
{{- if .Reset}}<p><a href="{{.Reset}}">{{.Reset}}</a></p>
{{end -}}
<p style="border-top: 1px solid #888888; font-size: 13px; margin-top: 32px; padding-top: 12px">{{.Footer}}</p>
</div>
</body>
</html>
`))

func (l layout) html() string {
	var b strings.Builder
	if err := htmlPage.Execute(&b, l); err != nil {
		panic(err) // a strings.Builder takes all, and the template knows its fields
	}
	return b.String()
}
