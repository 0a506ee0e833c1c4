package chat_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

func TestPrepareUsername(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ typed, shown, key string }{
		{"alice", "alice", "alice"},
		{"Alice", "Alice", "alice"},
		{"42", "42", "42"},
		{"...", "...", "..."},
		{".hidden", ".hidden", ".hidden"},
		{`~!#$%&'()*+,-.:;<=>?@[\]^_{|}"` + "`", `~!#$%&'()*+,-.:;<=>?@[\]^_{|}"` + "`", `~!#$%&'()*+,-.:;<=>?@[\]^_{|}"` + "`"},
		// Letters of many scripts.
		{"Ægir", "Ægir", "ægir"},
		{"Αλέξης", "Αλέξης", "αλέξησ"},
		{"Дмитрий", "Дмитрий", "дмитрий"},
		{"Արամ", "Արամ", "արամ"},
		{"გიორგი", "გიორგი", "გიორგი"},
		{"李雷", "李雷", "李雷"},
		{"𠮷野", "𠮷野", "𠮷野"},
		{"たろう", "たろう", "たろう"},
		{"김철수", "김철수", "김철수"},
		{"สมชาย", "สมชาย", "สมชาย"},
		{"राम", "राम", "राम"},
		{"አበበ", "አበበ", "አበበ"},
		{"l·l", "l·l", "l·l"},                   // between two l alone
		{"क्\u200dष", "क्\u200dष", "क्\u200dष"}, // a joiner that the script needs
		// From right to left, alone and with digits behind.
		{"محمد", "محمد", "محمد"},
		{"דוד", "דוד", "דוד"},
		{"דוד1", "דוד1", "דוד1"},
		// Signs and digits beside letters that run from left to right.
		{"Дядя_", "Дядя_", "дядя_"},
		{"Ünal+", "Ünal+", "ünal+"},
		{"@é", "@é", "@é"},
		{"1é", "1é", "1é"},
		// Wide and narrow forms.
		{"Ａｌｉｃｅ１", "Alice1", "alice1"},
		{"ﾀﾛｳ", "タロウ", "タロウ"},
		{"ﾀﾞﾝ", "ダン", "ダン"},
		// Combining marks.
		{"e\u0301", "é", "é"},
		{"q\u0307\u0323", "q\u0323\u0307", "q\u0323\u0307"},
		{"\u1100\u1161", "가", "가"},
		// The capital dotted I is i with a dot, and not i.
		{"İ", "İ", "i\u0307"},
		{"ı", "ı", "ı"},
	} {
		t.Run(c.typed, func(t *testing.T) {
			t.Parallel()
			name, key, err := chat.PrepareUsername(c.typed)
			require.NoError(t, err)
			require.Equal(t, c.shown, name)
			require.Equal(t, c.key, key)
			require.Equal(t, key, chat.UsernameKey(c.typed))
			require.Equal(t, key, chat.UsernameKey(name))
		})
	}
}

func TestPrepareUsernameRefusals(t *testing.T) {
	t.Parallel()
	for name, typed := range map[string]string{
		"space":                      "a b",
		"space before":               " a",
		"space behind":               "a ",
		"no-break space":             "a\u00a0b",
		"wide space":                 "a\u3000b",
		"NUL":                        "a\x00",
		"line":                       "a\n",
		"delete":                     "a\x7f",
		"C1 control":                 "a\u0085b",
		"slash":                      "a/b",
		"only a slash":               "/",
		"wide slash":                 "a／b",
		"here":                       ".",
		"above":                      "..",
		"above, wide":                "．．",
		"not UTF-8":                  "a\xffb",
		"surrogate half":             "a\xed\xa0\x80",
		"emoji":                      "😀",
		"emoji behind":               "alice😀",
		"variation selector":         "a\ufe0f",
		"direction override":         "\u202eecila",
		"zero width space":           "a\u200bb",
		"joiner without need":        "a\u200db",
		"soft hyphen":                "a\u00adb",
		"byte order mark":            "\ufeffa",
		"right to left, then left":   "אa",
		"left to right, then right":  "aא",
		"digit, then right to left":  "1א",
		"right to left, then a sign": "א_",
		"combining mark first":       "\u0301a",
		"ligature":                   "ﬁ",
		"circled":                    "①",
		"superscript":                "²",
		"mathematical":               "𝐀",
		"middle dot elsewhere":       "a·b",
		"private use":                "\ue000",
		"not a character":            "a\uffff",
		"replacement character":      "a\ufffd",
		"Hangul filler":              "\u3164",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := chat.PrepareUsername(typed)
			requireRefusal(t, refusal{chat.Invalid, "username_invalid", "username"}, err)
		})
	}
	_, _, err := chat.PrepareUsername("")
	requireRefusal(t, refusal{chat.Invalid, "username_missing", "username"}, err)
}

func TestPrepareUsernameLength(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		typed string
		ok    bool
	}{
		"64":                    {strings.Repeat("a", 64), true},
		"65":                    {strings.Repeat("a", 65), false},
		"64 of four bytes":      {strings.Repeat("𠮷", 64), true},
		"65 of four bytes":      {strings.Repeat("𠮷", 65), false},
		"64 typed with accents": {strings.Repeat("e\u0301", 64), true}, // as shown
		"65 typed with accents": {strings.Repeat("e\u0301", 65), false},
		"64 that fold to 128":   {strings.Repeat("ß", 64), true},
		"64 KiB":                {strings.Repeat("a", 64<<10), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shown, _, err := chat.PrepareUsername(c.typed)
			if !c.ok {
				requireRefusal(t, refusal{chat.Invalid, "username_too_long", "username"}, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 64, utf8.RuneCountInString(shown))
		})
	}
}

// Names that are one, but for case, width or how an accent was typed.
func TestUsernameKeySame(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"alice", "Alice", "ALICE", "ａｌｉｃｅ", "ＡＬＩＣＥ"},
		{"straße", "Straße", "STRASSE", "strasse", "STRAẞE"},
		{"σίσυφος", "ΣΊΣΥΦΟΣ", "σίσυφοσ", "Σίσυφος"},
		{"дмитрий", "ДМИТРИЙ", "Дмитри\u0438\u0306"},
		{"é", "É", "e\u0301", "E\u0301"},
		{"İ", "i\u0307", "I\u0307"},
		{"タロウ", "ﾀﾛｳ"},
		{"ǖ", "Ǖ", "u\u0308\u0304", "ü\u0304"},
		{"ᾳ", "α\u0345", "αι", "ΑΙ"},
		{"ΐ", "ι\u0308\u0301", "Ϊ\u0301"},
		{"արամ", "ԱՐԱՄ"},
		{"𐐨", "𐐀"},
		{"ꮳꮃꭹ", "ᏣᎳᎩ", "Ꮳꮃꭹ"},
	} {
		t.Run(same[0], func(t *testing.T) {
			t.Parallel()
			want := chat.UsernameKey(same[0])
			require.NotEmpty(t, want)
			for _, other := range same[1:] {
				require.Equal(t, want, chat.UsernameKey(other), "%s and %s", same[0], other)
			}
		})
	}
}

func TestUsernameKeyDifferent(t *testing.T) {
	t.Parallel()
	for _, different := range [][2]string{
		{"e", "é"},
		{"i", "ı"},
		{"i", "İ"},
		{"s", "ß"},
		{"たろう", "タロウ"},
		{"か", "が"},
		{"a", "а"}, // Latin and Cyrillic
		{"1", "01"},
	} {
		require.NotEqual(t, chat.UsernameKey(different[0]), chat.UsernameKey(different[1]), "%s and %s", different[0], different[1])
	}
	for _, impossible := range []string{"", " ", "a b", "\x00", "\xff", "😀"} {
		require.Empty(t, chat.UsernameKey(impossible), "%q", impossible)
	}
}

// Every letter that has other cases, against them.
func TestUsernameKeyOfEveryLetter(t *testing.T) {
	t.Parallel()
	pairs, split := 0, []string{}
	for letter := range unicode.MaxRune {
		if unicode.SimpleFold(letter) == letter {
			continue
		}
		name, key, err := chat.PrepareUsername(string(letter))
		if err != nil {
			continue
		}
		for other := unicode.SimpleFold(letter); other != letter; other = unicode.SimpleFold(other) {
			if otherName, otherKey, err := chat.PrepareUsername(string(other)); err == nil {
				pairs++
				if key != otherKey {
					split = append(split, name+"≠"+otherName)
				}
			}
		}
	}
	require.Greater(t, pairs, 2000)
	require.Empty(t, split, "these differ in case alone")
}

func FuzzPrepareUsername(f *testing.F) {
	for _, seed := range []string{
		"alice", "Straße", "ΣΊΣΥΦΟΣ", "İ", "Ａｌｉｃｅ", "ﾀﾞﾝ", "e\u0301", "דוד1", "l·l", "क्\u200dष", "ᾳ\u0301",
		"..", "a/b", "😀", "\xff", "", "a\x00", "ᏣᎳᎩ", "١٢", "ー", "۰", "ﾞ", "ᄀ\u1161\u11a8",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		name, key, err := chat.PrepareUsername(typed)
		if err != nil {
			e := chat.AsError(err)
			require.NotNil(t, e)
			require.Equal(t, chat.Invalid, e.Kind)
			require.Equal(t, "username", e.Field)
			require.Empty(t, name)
			require.Empty(t, key)
			return
		}
		require.NotEmpty(t, key, "accepted, and nobody can find it: %+q", typed)
		require.Equal(t, key, chat.UsernameKey(typed), "%+q signs in as somebody else", typed)
		require.Equal(t, key, chat.UsernameKey(name), "%+q is shown as somebody else", typed)
		again, _, err := chat.PrepareUsername(name)
		require.NoError(t, err, "%+q can't be typed as it is shown", typed)
		require.Equal(t, name, again)
		require.LessOrEqual(t, utf8.RuneCountInString(name), chat.MaxUsernameLength)
		require.True(t, utf8.ValidString(name))
		require.NotContains(t, name, "/")
		require.NotContains(t, []string{".", ".."}, name)
	})
}

func TestRegister(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		user, err := r.Register(t.Context(), chat.Caller{}, "Ａlice", "hash")
		require.NoError(t, err)
		require.Equal(t, "Alice", user.Username, "shown as typed, in plain letters")
		require.Equal(t, "alice", user.UsernameKey)
		require.Equal(t, "hash", user.PasswordHash)
		require.NotZero(t, user.ID)

		for _, taken := range []string{"Alice", "alice", "ALICE", "ａｌｉｃｅ"} {
			_, err := r.Register(t.Context(), chat.Caller{}, taken, "other")
			requireRefusal(t, refusal{chat.Conflict, "username_taken", "username"}, err)
		}
		_, err = r.Register(t.Context(), chat.Caller{}, "", "hash")
		requireRefusal(t, refusal{chat.Invalid, "username_missing", "username"}, err)
		_, err = r.Register(t.Context(), chat.Caller{}, "a b", "hash")
		requireRefusal(t, refusal{chat.Invalid, "username_invalid", "username"}, err)
		_, err = r.Register(t.Context(), chat.Caller{}, strings.Repeat("a", 65), "hash")
		requireRefusal(t, refusal{chat.Invalid, "username_too_long", "username"}, err)
	})
}

func TestRegisterConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		spellings := []string{"straße", "STRASSE", "Strasse", "ＳＴＲＡＳＳＥ"}
		made := 0
		for _, err := range atOnce(16, func(i int) error {
			_, err := r.Register(t.Context(), chat.Caller{}, spellings[i%len(spellings)], "hash")
			return err
		}) {
			if err == nil {
				made++
				continue
			}
			requireRefusal(t, refusal{chat.Conflict, "username_taken", "username"}, err)
		}
		require.Equal(t, 1, made)
	})
}

// Who is to be written to, or added, is named by username: a username of digits
// is anybody's to have, and must not get what was meant for an id. Who is to be
// removed is named by username or by id, unless two people could be meant.
func TestFindUser(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		first := r.user(t, "first")
		second := r.user(t, "second")
		// Somebody whose username is the id of somebody else.
		digits := r.user(t, strconv.FormatInt(first.UserID, 10))
		me := r.user(t, "me")

		firstID, secondID := strconv.FormatInt(first.UserID, 10), strconv.FormatInt(second.UserID, 10)
		for name, c := range map[string]struct {
			named string
			want  *chat.Caller // nobody, if nil
		}{
			"username":                     {"second", &second},
			"username in another case":     {"SECOND", &second},
			"wide username":                {"ｓｅｃｏｎｄ", &second},
			"id":                           {secondID, &second},
			"id with zeros before":         {"00" + secondID, &second},
			"id, by zeros past a username": {"0" + firstID, &first},
			"wide digits are no id":        {"０" + "００" + "２", nil},
			"unknown id":                   {"9999", nil},
			"zero":                         {"0", nil},
			"negative id":                  {"-" + secondID, nil},
			"signed id":                    {"+" + secondID, nil},
			"id in hex":                    {"0x2", nil},
			"id as a decimal":              {secondID + ".0", nil},
			"id with a space":              {" " + secondID, nil},
			"id that fits no number":       {"99999999999999999999999999", nil},
			"empty":                        {"", nil},
			"no possible username":         {"a b", nil},
		} {
			t.Run(name, func(t *testing.T) {
				group := r.group(t, me, first, second, digits)
				err := r.RemoveParticipant(t.Context(), me, group.ID, c.named)
				if c.want == nil {
					requireRefusal(t, noSuchUser, err)
				} else {
					require.NoError(t, err)
					requireRefusal(t, notAParticipant, r.RequireParticipant(t.Context(), *c.want, group.ID))
				}

				empty := r.group(t, me)
				user, err := r.AddParticipant(t.Context(), me, empty.ID, c.named, "")
				if c.want == nil || strings.HasPrefix(name, "id") {
					requireRefusal(t, noSuchUser, err)
					_, err = r.DirectMessages(t.Context(), me, c.named, chat.Page{})
					requireRefusal(t, noSuchDest, err)
					_, err = r.Send(t.Context(), me, chat.Draft{To: c.named, Text: "hi"})
					requireRefusal(t, noSuchDest, err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.want.UserID, user.UserID)
				require.Equal(t, c.want.Username, user.Username)
			})
		}
	})
}

// Somebody who takes the id of another as their username gets nothing that is
// meant for the other.
func TestUsernameThatIsAnId(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		owner, bob := r.user(t, "owner"), r.user(t, "bob")
		id := strconv.FormatInt(bob.UserID, 10)
		mallory := r.user(t, id)
		group := r.group(t, owner, bob, mallory)
		ambiguous := refusal{chat.Conflict, "user_ambiguous", "username"}
		requireRefusal(t, ambiguous, r.RemoveParticipant(t.Context(), owner, group.ID, id))
		_, err := r.SetRole(t.Context(), owner, group.ID, id, store.Owner)
		requireRefusal(t, ambiguous, err)

		p, err := r.SetRole(t.Context(), owner, group.ID, "0"+id, store.Owner)
		require.NoError(t, err)
		require.Equal(t, bob.UserID, p.UserID)
		// Where only usernames are taken, it is one.
		added, err := r.AddParticipant(t.Context(), owner, r.group(t, owner).ID, id, "")
		require.NoError(t, err)
		require.Equal(t, mallory.UserID, added.UserID)
	})
}

// Nobody comes into a group while their account is deleted, or after.
func TestDeletedAccountsAreInNoGroup(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		for i := range 20 {
			bob := r.user(t, fmt.Sprintf("bob%d", i))
			group := r.group(t, alice)
			own := make(chan error, 2)
			for _, err := range atOnce(3, func(i int) error {
				switch i {
				case 0:
					_, err := r.AddParticipant(t.Context(), alice, group.ID, bob.Username, "")
					if err != nil {
						requireRefusal(t, noSuchUser, err)
					}
				case 1:
					_, err := r.CreateGroup(t.Context(), bob, chat.NewGroup{})
					own <- err
				case 2:
					return r.DeleteMe(t.Context(), bob)
				}
				return nil
			}) {
				require.NoError(t, err)
			}
			if err := <-own; err != nil {
				requireRefusal(t, refusal{chat.Unauthenticated, "unauthenticated", ""}, err)
			}
			people, err := r.Participants(t.Context(), alice, group.ID, 10, 0)
			require.NoError(t, err)
			require.Len(t, people, 1)
			require.NoError(t, r.store.View(t.Context(), func(tx *store.Tx) error {
				left, err := tx.ListGroupIDsOf(bob.UserID)
				require.Empty(t, left)
				return err
			}))
			_, err = r.CreateGroup(t.Context(), bob, chat.NewGroup{})
			requireRefusal(t, refusal{chat.Unauthenticated, "unauthenticated", ""}, err)
		}
	})
}

func TestPrepareEmail(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"":                      "",
		" a@example.com ":       "a@example.com",
		"a.b+c@mail.example.uk": "a.b+c@mail.example.uk",
		"ä@例え.jp":               "ä@例え.jp",
		"a@例え。jp":               "a@例え。jp",
		"пошта@приклад.укр":     "пошта@приклад.укр",
	} {
		email, err := chat.PrepareEmail(typed)
		require.NoError(t, err, "%q", typed)
		require.Equal(t, want, email)
	}
	for _, typed := range []string{
		"a", "a@", "@example.com", "Ada <a@example.com>", "a@b", "a@localhost", "a@localhost.", "a@.", "a@[127.0.0.1]", "a@[IPv6:::1]",
		"a\u202e@example.com", "a@exam\u200bple.com", "a@exam\u00adple.com", "\ufeffa@example.com", "a\u2066b@example.com",
		"a\u00a0b@example.com", "a\u2003b@example.com", `"a b"@example.com`, "a\n@example.com", "a\x00@example.com", "a\u0085@example.com",
	} {
		_, err := chat.PrepareEmail(typed)
		requireRefusal(t, refusal{chat.Invalid, "email_invalid", "email"}, err)
	}
}

// Whether a change has changed anything is for the rule to say: nobody else is quicker.
func TestChangeMe(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		r.user(t, "bob")
		before, after, err := r.ChangeMe(t.Context(), alice, chat.Profile{DisplayName: new("Alice")})
		require.NoError(t, err)
		require.Empty(t, before.DisplayName)
		require.Equal(t, "Alice", after.DisplayName)
		before, after, err = r.ChangeMe(t.Context(), alice, chat.Profile{Username: new("alice"), DisplayName: new("Alice")})
		require.NoError(t, err)
		require.Equal(t, before, after)
		_, _, err = r.ChangeMe(t.Context(), alice, chat.Profile{Username: new("BOB")})
		requireRefusal(t, refusal{chat.Conflict, "username_taken", "username"}, err)

		for _, free := range []string{"Alice", "carl", "", "no name"} {
			require.NoError(t, r.UsernameFree(t.Context(), alice, free), free)
		}
		requireRefusal(t, refusal{chat.Conflict, "username_taken", "username"}, r.UsernameFree(t.Context(), alice, "Bob"))
	})
}
