package v1

import (
	"archive/zip"
	"bufio"
	"context"
	_ "embed"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/chat"
)

//go:embed export.txt
var exportReadme []byte

// What the files of an export hold; docs/api.md tells of each.
type (
	exportedAccount struct {
		Me
		PendingEmail    string    `json:"pending_email,omitempty"`
		EmailVerifiedAt timestamp `json:"email_verified_at,omitzero"`
	}
	exportedSession struct {
		ID         int64     `json:"id"`
		Kind       string    `json:"kind"`
		Name       string    `json:"name,omitempty"`
		Scopes     []string  `json:"scopes,omitempty"`
		UserAgent  string    `json:"user_agent,omitempty"`
		Address    string    `json:"address,omitempty"`
		CreatedAt  timestamp `json:"created_at"`
		LastUsedAt timestamp `json:"last_used_at"`
		ExpiresAt  timestamp `json:"expires_at"`
	}
	exportedChat struct {
		ID      int64             `json:"id"`
		Kind    string            `json:"kind"`
		Title   string            `json:"title,omitempty"`
		With    string            `json:"with,omitempty"`
		Left    bool              `json:"left,omitempty"`
		Mine    *exportedSettings `json:"mine,omitempty"`
		Invites []Invite          `json:"invites,omitempty"`
	}
	exportedSettings struct {
		Role         string    `json:"role"`
		JoinedAt     timestamp `json:"joined_at"`
		ReadSeq      int64     `json:"read_seq"`
		DeliveredSeq int64     `json:"delivered_seq"`
		MutedUntil   timestamp `json:"muted_until,omitzero"`
		Archived     bool      `json:"archived"`
		MarkedUnread bool      `json:"marked_unread"`
	}
	exportedParticipant struct {
		ChatID   int64     `json:"chat_id"`
		UserID   int64     `json:"user_id"`
		Username string    `json:"username"`
		Role     string    `json:"role"`
		JoinedAt timestamp `json:"joined_at"`
	}
	exportedMessage struct {
		Message
		Versions []exportedVersion `json:"versions,omitempty"`
	}
	exportedVersion struct {
		Text      string    `json:"text"`
		CreatedAt timestamp `json:"created_at"`
	}
	exportedActivity struct {
		What      string    `json:"what"`
		ChatID    int64     `json:"chat_id"`
		MessageID int64     `json:"message_id"`
		Emoji     string    `json:"emoji,omitempty"`
		Choice    *string   `json:"choice,omitempty"`
		At        timestamp `json:"at"`
	}
	exportedBlock struct {
		UserID    int64     `json:"user_id"`
		Username  string    `json:"username"`
		CreatedAt timestamp `json:"created_at"`
	}
	exportedInvitation struct {
		ID        int64     `json:"id"`
		Note      string    `json:"note,omitempty"`
		CreatedAt timestamp `json:"created_at"`
		ExpiresAt timestamp `json:"expires_at,omitzero"`
		MaxUses   int       `json:"max_uses"`
		Uses      int       `json:"uses"`
	}
	exportedEntry struct {
		Action    string    `json:"action"`
		ByMe      bool      `json:"by_me"`
		UserID    int64     `json:"user_id,omitempty"`
		ChatID    int64     `json:"chat_id,omitempty"`
		Address   string    `json:"address,omitempty"`
		Detail    string    `json:"detail,omitempty"`
		CreatedAt timestamp `json:"created_at"`
	}
)

func (a *API) registerExport() {
	op := a.signedIn(a.operation(http.MethodGet, "/v1/me/export", "export-me",
		"Get all that there is about one: a zip of JSON files", 403))
	op.Tags = []string{"users"}
	op.Description = "It is made while it is sent: it has no length, and if it breaks off, it is not a whole zip. " +
		"What is in it, README.txt tells."
	op.Responses["200"] = &huma.Response{
		Description: "OK",
		Headers: map[string]*huma.Param{"Content-Disposition": {
			Schema: &huma.Schema{Type: huma.TypeString, Examples: []any{`attachment; filename=messages-alice-2026-11-21.zip`}},
		}},
		Content: map[string]*huma.MediaType{"application/zip": {
			Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"},
		}},
	}
	register(a, op, a.export)
}

func (a *API) export(context.Context, *struct{}) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		r = r.WithContext(ctx.Context()) // with the caller
		caller := callerOf(r.Context())
		// It is work, and one does not have it as often as one likes.
		if !sameSite(r) {
			a.writeError(w, r, errCrossSite)
			return
		}
		if r.Method == http.MethodHead {
			if err := caller.Require(chat.AccountScope); err != nil {
				a.writeError(w, r, err)
				return
			}
			setExportHeader(w.Header(), caller.Username, time.Now())
			return
		}
		export, err := a.chat.Export(r.Context(), caller)
		if err != nil {
			a.writeError(w, r, err)
			return
		}
		setExportHeader(w.Header(), export.Account.Username, export.At)
		if err := writeExport(w, export); err != nil {
			if r.Context().Err() == nil {
				a.failures.Log.WarnContext(r.Context(), "export broken off", "request_id", auth.RequestOf(r.Context()).ID, "error", err)
			}
			// So that the client does not take it for the whole.
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

func setExportHeader(header http.Header, username string, at time.Time) {
	// What no file system takes amiss, and no shell.
	name := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, username)
	name = fmt.Sprintf("messages-%s-%s.zip", name, at.UTC().Format(time.DateOnly))
	header.Set("Content-Type", "application/zip")
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	header.Set("X-Accel-Buffering", "no") // nginx would keep it until there is more
}

// writeExport writes the zip. Its memory does not grow with what there is: all lists
// are read in parts, and what is written is sent.
func writeExport(w http.ResponseWriter, export *chat.Export) error {
	out := bufio.NewWriterSize(inTime{w, http.NewResponseController(w)}, flushBytes)
	files := exportFiles{zip: zip.NewWriter(out), at: export.At}
	files.add("README.txt", func(w io.Writer) error {
		_, err := w.Write(exportReadme)
		return err
	})
	files.add("account.json", func(w io.Writer) error { return marshal(w, newExportedAccount(export.Account)) })
	addList(&files, "sessions.json", export.Sessions(), newExportedSession)
	addList(&files, "chats.json", export.Chats(), newExportedChat)
	addList(&files, "participants.json", export.Participants(), newExportedParticipant)
	addList(&files, "messages.json", export.Messages(), newExportedMessage)
	addList(&files, "activity.json", export.Activity(), newExportedActivity)
	addList(&files, "hidden_messages.json", export.Hidden(), func(id int64) int64 { return id })
	addList(&files, "blocks.json", export.Blocks(), newExportedBlock)
	addList(&files, "invitations.json", export.Invitations(), newExportedInvitation)
	addList(&files, "audit_log.json", export.AuditEntries(), func(e chat.AuditEntry) exportedEntry {
		return newExportedEntry(e, export.Account.ID)
	})
	if files.err == nil {
		files.err = files.zip.Close()
	}
	if files.err == nil {
		files.err = out.Flush()
	}
	return files.err
}

// inTime writes what a client must read in time.
type inTime struct {
	io.Writer
	control *http.ResponseController
}

func (w inTime) Write(p []byte) (int, error) {
	if err := writeInTime(w.Writer, w.control, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// exportFiles are the files of a zip, up to the first that could not be written.
type exportFiles struct {
	zip *zip.Writer
	at  time.Time
	err error
}

func (f *exportFiles) add(name string, write func(io.Writer) error) {
	if f.err != nil {
		return
	}
	w, err := f.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: f.at})
	if err == nil {
		err = write(w)
	}
	if err != nil {
		f.err = fmt.Errorf("%s: %w", name, err)
	}
}

// addList adds a file with a list in JSON, a line for each of its values.
func addList[T, O any](f *exportFiles, name string, values iter.Seq2[T, error], shown func(T) O) {
	f.add(name, func(w io.Writer) error {
		before := "["
		for v, err := range values {
			if err != nil {
				return err
			}
			if _, err := io.WriteString(w, before); err != nil {
				return err
			}
			if err := marshal(w, shown(v)); err != nil { // with a line end
				return err
			}
			before = ","
		}
		if before == "[" {
			_, err := io.WriteString(w, "[]\n")
			return err
		}
		_, err := io.WriteString(w, "]\n")
		return err
	})
}

func newExportedAccount(u chat.User) exportedAccount {
	return exportedAccount{Me: newMe(u), PendingEmail: u.PendingEmail, EmailVerifiedAt: timestamp(u.EmailVerifiedAt)}
}

func newExportedSession(s chat.Session) exportedSession {
	return exportedSession{
		ID: s.ID, Kind: s.Kind, Name: s.Name, Scopes: strings.Fields(s.Scopes), UserAgent: s.UserAgent, Address: s.Address,
		CreatedAt: timestamp(s.CreatedAt), LastUsedAt: timestamp(s.UsedAt), ExpiresAt: timestamp(s.ExpiresAt),
	}
}

func newExportedChat(c chat.ExportedChat) exportedChat {
	shown := exportedChat{ID: c.ID, Kind: c.Kind, Left: c.Participant == nil}
	for _, i := range c.Invites {
		shown.Invites = append(shown.Invites, newInvite(i))
	}
	if c.Other != nil {
		shown.With = c.Other.Username
	}
	if p := c.Participant; p != nil {
		shown.Title = c.Title // what it is called by now is not for those who have left
		shown.Mine = &exportedSettings{
			Role: p.Role, JoinedAt: timestamp(p.JoinedAt), ReadSeq: p.ReadSeq, DeliveredSeq: p.DeliveredSeq,
			MutedUntil: timestamp(p.MutedUntil), Archived: p.Archived, MarkedUnread: p.MarkedUnread,
		}
	}
	return shown
}

func newExportedParticipant(p chat.Participant) exportedParticipant {
	return exportedParticipant{
		ChatID: p.ChatID, UserID: p.UserID, Username: p.Username, Role: p.Role, JoinedAt: timestamp(p.JoinedAt),
	}
}

func newExportedMessage(m chat.OwnMessage) exportedMessage {
	shown := exportedMessage{Message: newMessage(m.Message)}
	for _, e := range m.Edits {
		shown.Versions = append(shown.Versions, exportedVersion{Text: e.Text, CreatedAt: timestamp(e.CreatedAt)})
	}
	return shown
}

func newExportedActivity(v chat.Activity) exportedActivity {
	shown := exportedActivity{
		What: "reaction", ChatID: v.ChatID, MessageID: v.MessageID, Emoji: v.Emoji, Choice: v.Choice, At: timestamp(v.At),
	}
	switch {
	case v.Choice != nil:
		shown.What = "vote"
	case v.Mentioned:
		shown.What = "mention"
	}
	return shown
}

func newExportedBlock(b chat.Block) exportedBlock {
	return exportedBlock{UserID: b.BlockedID, Username: b.Username, CreatedAt: timestamp(b.CreatedAt)}
}

func newExportedInvitation(i chat.Invitation) exportedInvitation {
	return exportedInvitation{
		ID: i.ID, Note: i.Note, CreatedAt: timestamp(i.CreatedAt), ExpiresAt: timestamp(i.ExpiresAt), MaxUses: i.MaxUses, Uses: i.Uses,
	}
}

func newExportedEntry(e chat.AuditEntry, own int64) exportedEntry {
	shown := exportedEntry{
		Action: e.Action, ByMe: e.ActorID == own, ChatID: e.ChatID, Address: e.Address, Detail: e.Detail,
		CreatedAt: timestamp(e.CreatedAt),
	}
	if e.UserID != own {
		shown.UserID = e.UserID
	}
	return shown
}
