package dialect_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/freeport"
	"github.com/caddymsg/messaging/internal/frontdoor"
)

// A conversation of five people, each at another API of one server, which runs the
// Caddyfile of the documentation: what one does, the others see, as far as their API can
// show it.
func TestFiveAPIs(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := begin(t, startFive(t, engine))
		s.everybodyIsKnownEverywhere()
		s.samAndKenWrite()
		s.veraAndMonaTalk()
		s.monaHearsThoseWithoutWebSockets()
		s.theyMeetInAGroup()
		s.theyBlock()
		s.theyAreSignedOut()
		s.kenKeepsNotes()
		s.samChangesHisName()
		s.itEnds()
	})
}

// story has its people, and where they talk.
type story struct {
	t                         *testing.T
	at                        *five
	vera, sam, mona, gus, ken *person
	kenAtV1                   *person // he reads there what knox can't show

	samAndKen   string // the messages of their chat, at simple_chats
	weekend     string // the group, at group_chat
	veraHears   *frontdoor.Socket
	monaHears   *listener // of Vera
	monaInGroup *listener
}

// begin has everybody come by the door of their own API. At group_chat, an administrator
// lets them in, who was made beside the server.
func begin(t *testing.T, at *five) *story {
	t.Helper()
	return &story{
		t: t, at: at,
		vera:    at.v1("vera").register(),
		sam:     at.simpleChats("sam").register(),
		mona:    at.messenger("mona").register(),
		gus:     at.groupChat("gus").addedBy(at.groupChat("root")),
		ken:     at.knox("ken").register(),
		kenAtV1: at.v1("ken").signIn(),
	}
}

func (s *story) everybodyIsKnownEverywhere() {
	t := s.t
	everybody := []string{"root", "vera", "sam", "mona", "gus", "ken"}
	require.ElementsMatch(t, everybody, s.vera.get("/v1/users").each("", "username"))
	require.ElementsMatch(t, everybody, s.sam.get("/api/users").each("data", "username"))
	require.ElementsMatch(t, everybody, s.gus.get("/api/users").each("", "username"))

	t.Log("nobody registers twice: the password is the same at all five")
	s.at.v1("gus").signIn()
	s.at.simpleChats("ken").signIn()
	s.at.messenger("sam").signIn()
	s.at.groupChat("vera").signIn()
	s.at.knox("mona").signIn()

	t.Log("a name that somebody has is taken for all")
	s.at.knox("").post("/api/auth/register", `{"username":"Vera","password":"another one"}`).Want(http.StatusBadRequest)
	s.at.v1("").post("/v1/auth/register", `{"username":"gus","password":"another one"}`).Want(http.StatusBadRequest)
}

// Two people, at simple_chats and at knox.
func (s *story) samAndKenWrite() {
	t, sam, ken := s.t, s.sam, s.ken
	s.samAndKen = fmt.Sprintf("/api/chats/%d/messages", sam.openChat(ken))
	sam.post(s.samAndKen, `{"texts":["hello ken","are you here?","forget it"]}`).Want(http.StatusCreated)
	require.Equal(t, []string{"hello ken", "are you here?", "forget it"}, ken.get("/api/message/received").each("results", "content"))
	require.Equal(t, []string{"sam", "sam", "sam"}, ken.get("/api/message/received").each("results", "sender"))

	t.Log("Ken answers")
	ken.post("/api/message", `{"receiver":"sam","content":"hello sam"}`).Want(http.StatusCreated)
	all := []string{"hello ken", "are you here?", "forget it", "hello sam"}
	require.Equal(t, all, sam.get(s.samAndKen).each("data", "text"))
	require.Equal(t, all, s.kenAtV1.get("/v1/messages").each("", "text"))
	require.Empty(t, s.vera.get("/v1/messages").list(""), "it is between the two")

	t.Log("Sam mends a word, and takes another back")
	messages := sam.get(s.samAndKen).list("data")
	sam.put(s.samAndKen+"/"+id(messages[1]["message_id"]), `{"text":"are you there?"}`).Want(http.StatusOK)
	sam.delete(s.samAndKen + "/" + id(messages[2]["message_id"])).Want(http.StatusOK)
	require.Equal(t, []string{"hello ken", "are you there?"}, ken.get("/api/message/received").each("results", "content"))
	// Only v1 has a place for what is left of a message.
	atV1 := s.kenAtV1.get("/v1/messages").list("")
	require.Equal(t, "are you there?", atV1[1]["text"])
	require.Contains(t, atV1[1], "edited_at")
	require.Empty(t, atV1[2]["text"])
	require.Contains(t, atV1[2], "deleted_at")

	t.Log("Ken mends his at v1, since knox can't")
	s.kenAtV1.patch("/v1/messages/"+id(atV1[3]["id"]), `{"text":"hello, sam"}`).Want(http.StatusOK)
	require.Equal(t, []string{"hello ken", "are you there?", "hello, sam"}, sam.get(s.samAndKen).each("data", "text"))
	require.Equal(t, []string{"hello, sam"}, ken.get("/api/message/sent?receiver=sam").each("results", "content"))
}

// Live, at v1 and at messenger.
func (s *story) veraAndMonaTalk() {
	t, vera, mona := s.t, s.vera, s.mona
	s.veraHears = vera.Socket("/v1/ws")
	s.veraHears.Await("hello")
	said := func() frontdoor.SocketFrame { return s.veraHears.Await("message.created") }

	vera.post("/v1/messages", `{"dest_username":"mona","message":"hi mona"}`).Want(http.StatusOK)
	require.Equal(t, "hi mona", said().Field("text"))
	both := mona.conversation(1)
	require.Equal(t, "personal", both.kind)
	require.Contains(t, both.people, mona.uuid)
	require.Equal(t, []string{"hi mona"}, mona.history(both).each("", "text"))

	t.Log("Mona answers over her WebSocket, and both hear of it")
	s.monaHears = mona.listen(both)
	s.monaHears.send("hi vera")
	s.monaHears.hears("hi vera") // her own copy is what acknowledges it
	require.Equal(t, "hi vera", said().Field("text"))

	t.Log("Mona hears Vera, who mends a word")
	vera.post("/v1/messages", `{"dest_username":"mona","message":"how is you?"}`).Want(http.StatusOK)
	asked := said().Field("id")
	heard := s.monaHears.hears("how is you?")
	require.Equal(t, both.other(mona), heard["sender_id"])
	require.Equal(t, false, heard["read"])
	vera.patch("/v1/messages/"+id(asked), `{"text":"how are you?"}`).Want(http.StatusOK)
	require.Equal(t, heard["id"], s.monaHears.hears("how are you?")["id"])

	t.Log("Mona reads it")
	s.monaHears.read(heard["id"])
	told := s.monaHears.next()
	require.Equal(t, heard["id"], told["id"])
	require.Equal(t, true, told["read"])
	for s.veraHears.Await("chat.read").Field("user_id") != float64(mona.id) {
		t.Log("Vera has read what she wrote, too")
	}
	require.Equal(t, []any{"mona"}, vera.get("/v1/messages/"+id(asked)).Field("read_by"))

	t.Log("Vera reads what Mona says")
	s.monaHears.send("fine")
	require.Equal(t, false, s.monaHears.hears("fine")["read"])
	vera.post("/v1/chats/"+id(said().ChatID)+"/read", "").Want(http.StatusOK)
	told = s.monaHears.next()
	require.Equal(t, "fine", told["text"])
	require.Equal(t, true, told["read"])
	for _, message := range mona.history(both).list("") {
		require.Equal(t, true, message["read"], message["text"])
	}

	t.Log("Vera takes her first one back")
	vera.delete("/v1/messages/" + id(vera.get("/v1/messages").list("")[0]["id"])).Want(http.StatusOK)
	require.Equal(t, []string{"hi vera", "how are you?", "fine"}, mona.history(both).each("", "text"))
}

// Those at simple_chats and at knox are heard live, though they hear nothing so.
func (s *story) monaHearsThoseWithoutWebSockets() {
	t, sam, ken, mona := s.t, s.sam, s.ken, s.mona
	samAndMona := fmt.Sprintf("/api/chats/%d/messages", sam.openChat(mona))
	fromSam := mona.listen(mona.conversation(2))
	sam.post(samAndMona, `{"texts":"over here"}`).Want(http.StatusCreated)
	fromSam.hears("over here")
	fromSam.send("I see you")
	fromSam.hears("I see you")
	require.Equal(t, []string{"over here", "I see you"}, sam.get(samAndMona).each("data", "text"))

	ken.post("/api/message", `{"receiver":"mona","content":"and me?"}`).Want(http.StatusCreated)
	fromKen := mona.listen(mona.conversation(3))
	ken.post("/api/message", `{"receiver":"mona","content":"hello?"}`).Want(http.StatusCreated)
	fromKen.hears("hello?")
	fromKen.send("you, too")
	fromKen.hears("you, too")
	require.Equal(t, []string{"you, too"}, ken.get("/api/message/received?sender=mona").each("results", "content"))
}

// group_chat, v1 and messenger have groups; simple_chats and knox have not.
func (s *story) theyMeetInAGroup() {
	t, gus, vera, mona := s.t, s.gus, s.vera, s.mona
	made := id(gus.post("/api/groups", `{"name":"Weekend"}`).Want(http.StatusCreated).Field("id"))
	s.weekend = "/api/groups/" + made
	for _, name := range []string{"vera", "sam", "mona", "ken"} {
		gus.post(s.weekend+"/members", frontdoor.JSON(t, map[string]string{"username": name})).Want(http.StatusCreated)
	}
	require.Equal(t, []string{"Weekend"}, vera.get("/v1/group_chat").each("", "title"))
	group := mona.conversation(4)
	require.Equal(t, "group", group.kind)
	require.Equal(t, "Weekend", group.name)
	require.Len(t, group.people, 5)
	require.Equal(t, mona.uuid, group.people[3], "they stand in the order in which they joined")

	t.Log("three of them talk in it")
	s.monaInGroup = mona.listen(group)
	gus.post(s.weekend+"/messages", `{"text":"where to?"}`).Want(http.StatusCreated)
	s.monaInGroup.hears("where to?")
	s.veraHearsOf("where to?")
	vera.post("/v1/messages", `{"group_chat_id":`+made+`,"message":"to the sea"}`).Want(http.StatusOK)
	s.monaInGroup.hears("to the sea")
	s.monaInGroup.send("I bring cake")
	s.monaInGroup.hears("I bring cake")
	s.veraHearsOf("I bring cake")
	messages := gus.get(s.weekend + "/messages").list("messages")
	require.Equal(t, []string{"I bring cake", "to the sea", "where to?"}, each(messages, "text"))
	cake, sea, where := id(messages[0]["id"]), id(messages[1]["id"]), id(messages[2]["id"])

	t.Log("they like what is said: a like is a 👍")
	gus.put(s.weekend+"/messages/"+cake+"/like", "").Want(http.StatusOK)
	require.Equal(t, "👍", s.veraHears.Await("reaction.added").Field("emoji"))
	require.JSONEq(t, `[{"emoji":"👍","count":1,"me":false}]`, frontdoor.JSON(t, vera.get("/v1/messages/"+cake).Field("reactions")))
	vera.put("/v1/messages/"+cake+"/reactions/like", "").Want(http.StatusOK)
	vera.put("/v1/messages/"+where+"/reactions/like", "").Want(http.StatusOK)
	vera.put("/v1/messages/"+where+"/reactions/%F0%9F%8E%89", "").Want(http.StatusOK) // a 🎉 is no like
	messages = gus.get(s.weekend + "/messages").list("messages")
	require.Equal(t, []any{float64(gus.id), float64(vera.id)}, messages[0]["likes"])
	require.Equal(t, []any{float64(vera.id)}, messages[2]["likes"])

	t.Log("Vera mends what she said, and takes it back")
	vera.patch("/v1/messages/"+sea, `{"text":"to the lake"}`).Want(http.StatusOK)
	s.monaInGroup.hears("to the lake")
	require.Equal(t, []string{"I bring cake", "to the lake", "where to?"}, gus.get(s.weekend+"/messages").each("messages", "text"))
	vera.delete("/v1/messages/" + sea).Want(http.StatusOK)
	require.Equal(t, []string{"I bring cake", "where to?"}, gus.get(s.weekend+"/messages").each("messages", "text"))
	require.Equal(t, []string{"where to?", "I bring cake"}, mona.history(group).each("", "text"))

	t.Log("who knows chats of two alone sees nothing of it, though they are in it; and the other way round")
	require.Len(t, s.sam.get("/api/chats").list("data"), 2, "with Ken and Mona")
	s.sam.get("/api/chats/" + made + "/messages").Want(http.StatusNotFound)
	require.NotContains(t, s.ken.get("/api/message").each("results", "content"), "where to?")
	require.Contains(t, s.kenAtV1.get("/v1/messages").each("", "text"), "where to?")
	require.JSONEq(t, `{"groups":["Weekend"]}`, gus.get("/api/groups").Text)
}

// Blocks are one's own, whichever API one has them from.
func (s *story) theyBlock() {
	t, sam, ken := s.t, s.sam, s.ken
	ken.post("/api/block", `{"blocked":"sam"}`).Want(http.StatusCreated)
	require.Equal(t, []string{"sam"}, s.kenAtV1.get("/v1/blocks").each("", "username"))
	sam.post(s.samAndKen, `{"texts":["please"]}`).Want(http.StatusForbidden)
	s.at.v1("sam").signIn().post("/v1/messages", `{"dest_username":"ken","message":"please"}`).Want(http.StatusForbidden)
	s.at.knox("sam").signIn().post("/api/message", `{"receiver":"ken","content":"please"}`).Want(http.StatusForbidden)
	require.NotContains(t, ken.get("/api/message/received").each("results", "content"), "please")
	s.kenAtV1.delete("/v1/blocks/sam").Want(http.StatusOK)
	require.Empty(t, ken.get("/api/block").list("results"))
	sam.post(s.samAndKen, `{"texts":["thank you"]}`).Want(http.StatusCreated)
	require.Contains(t, ken.get("/api/message/received").each("results", "content"), "thank you")

	t.Log("Vera blocks Mona, who alone is told that she does not get through")
	s.vera.put("/v1/blocks/mona", "").Want(http.StatusOK)
	s.monaHears.send("why?")
	require.Contains(t, s.monaHears.next(), "error")
	s.vera.delete("/v1/blocks/mona").Want(http.StatusOK)
	s.monaHears.send("there you are")
	s.monaHears.hears("there you are")
	s.veraHearsOf("there you are")
	require.NotContains(t, s.vera.get("/v1/messages").each("", "text"), "why?")
}

// Sign-ins are one list, whichever API they are of.
func (s *story) theyAreSignedOut() {
	t, ken, mona := s.t, s.ken, s.mona
	ken.get("/api/message").Want(http.StatusOK)
	tokens := s.kenAtV1.get("/v1/me/sessions?kind=token").list("")
	require.NotEmpty(t, tokens)
	for _, session := range tokens {
		s.kenAtV1.delete("/v1/me/sessions/" + id(session["id"])).Want(http.StatusOK)
	}
	ken.get("/api/message").Want(http.StatusUnauthorized)
	s.kenAtV1.get("/v1/me").Want(http.StatusOK)
	ken.signIn().get("/api/message").Want(http.StatusOK)

	t.Log("Mona's WebSockets end with her sign-in")
	s.at.v1("mona").signIn().delete("/v1/me/sessions?others=true").Want(http.StatusOK)
	s.monaHears.ended()
	s.monaInGroup.ended()
	mona.get("/chats/?user_id=" + mona.uuid).Want(http.StatusUnauthorized)
	mona.signIn()
}

// A note to oneself is a chat of one, where there are chats.
func (s *story) kenKeepsNotes() {
	t := s.t
	s.ken.post("/api/message", `{"receiver":"ken","content":"buy milk"}`).Want(http.StatusCreated)
	require.Contains(t, s.kenAtV1.get("/v1/messages").each("", "text"), "buy milk")

	atSimpleChats := s.at.simpleChats("ken").signIn()
	chats := atSimpleChats.get("/api/chats").list("data")
	note := chats[len(chats)-1]
	require.Equal(t, note["user1_id"], note["user2_id"])
	require.Equal(t, []string{"buy milk"}, atSimpleChats.get("/api/chats/"+id(note["chat_id"])+"/messages").each("data", "text"))

	atMessenger := s.at.messenger("ken").signIn()
	atMessenger.uuid = s.mona.conversation(3).other(s.mona)
	own := atMessenger.conversation(4) // behind those with Sam, with Mona, and the group
	require.Equal(t, []string{atMessenger.uuid}, own.people)
	require.Equal(t, []string{"buy milk"}, atMessenger.history(own).each("", "text"))
}

func (s *story) samChangesHisName() {
	t := s.t
	s.sam.post("/api/update", `{"username":"samuel"}`).Want(http.StatusAccepted)
	s.sam = s.at.simpleChats("samuel").signIn()
	require.Contains(t, s.ken.get("/api/message/received").each("results", "sender"), "samuel")
	require.NotContains(t, s.ken.get("/api/message/received").each("results", "sender"), "sam")
	require.Contains(t, s.vera.get("/v1/users").each("", "username"), "samuel")
	require.Contains(t, s.gus.get("/api/users").each("", "username"), "samuel")
	s.ken.post("/api/message", `{"receiver":"sam","content":"who?"}`).Want(http.StatusBadRequest)
}

func (s *story) itEnds() {
	t, gus, ken := s.t, s.gus, s.ken
	t.Log("Sam deletes his chat with Ken")
	s.sam.delete(strings.TrimSuffix(s.samAndKen, "/messages")).Want(http.StatusOK)
	require.Empty(t, ken.get("/api/message/sent?receiver=samuel").list("results"))
	require.Empty(t, ken.get("/api/message/received?sender=samuel").list("results"))
	require.NotContains(t, s.kenAtV1.get("/v1/messages").each("", "text"), "hello ken")

	t.Log("Gus is deleted by the administrator: what he has said stays, and nothing tells who he was")
	s.at.v1("gus").signIn().post("/v1/messages", `{"dest_username":"ken","message":"farewell"}`).Want(http.StatusOK)
	s.at.groupChat("root").signIn().delete("/api/users/" + id(gus.id)).Want(http.StatusOK)
	gus.get("/api/groups").Want(http.StatusUnauthorized)
	require.NotContains(t, s.sam.get("/api/users").each("data", "username"), "gus")
	received := ken.get("/api/message/received").list("results")
	last := received[len(received)-1]
	require.Equal(t, "farewell", last["content"])
	require.NotContains(t, last, "sender")
	first := s.at.groupChat("vera").signIn().get(s.weekend + "/messages").list("messages")[1]
	require.Equal(t, "where to?", first["text"])
	require.Equal(t, float64(gus.id), first["user_id"])
	require.Equal(t, []string{"where to?", "I bring cake"}, s.mona.history(s.mona.conversation(4)).each("", "text"))
	require.NotContains(t, s.vera.get("/v1/messages").Text, `"gus"`)
}

// veraHearsOf waits until Vera hears a text.
func (s *story) veraHearsOf(text string) {
	s.t.Helper()
	for s.veraHears.Await("message.created").Field("text") != text {
	}
}

// five are the sites of docs/five-apis.Caddyfile, as a running server has them.
type five struct {
	t     *testing.T
	sites map[string]string // by the port that they have in the documentation
}

// startFive runs that very Caddyfile, but for its ports.
func startFive(t *testing.T, engine frontdoor.Engine) *five {
	t.Helper()
	documented, err := os.ReadFile("../../docs/five-apis.Caddyfile")
	require.NoError(t, err)
	caddyfile := string(documented)
	at := &five{t: t, sites: map[string]string{}}
	replace := func(port, with string) {
		require.Contains(t, caddyfile, "http://localhost:"+port+", http://127.0.0.1:"+port+" {\n")
		caddyfile = strings.Replace(caddyfile, "http://localhost:"+port+", http://127.0.0.1:"+port+" {\n", "http://127.0.0.1:"+with+" {\n", 1)
		at.sites[port] = "http://127.0.0.1:" + with
	}
	for _, port := range []string{"12001", "12002", "12003", "12004"} {
		free, err := freeport.Find()
		require.NoError(t, err)
		replace(port, fmt.Sprint(free))
	}
	replace("12000", "{$PORT}")
	s := frontdoor.Start(t, frontdoor.Options{
		Caddyfile: caddyfile, Database: engine.NewDatabase(t),
		Env: []string{"MESSAGING_OPTIONS=database {env.DATABASE}\nbcrypt_cost 4\nrate_limits off"},
	})
	at.sites["12000"] = s.URL
	for _, site := range at.sites {
		require.Eventually(t, func() bool {
			conn, err := net.Dial("tcp", strings.TrimPrefix(site, "http://"))
			return err == nil && conn.Close() == nil
		}, time.Minute, 10*time.Millisecond, site)
	}
	cmd, err := frontdoor.Command(t.Context(), frontdoor.Options{Dir: s.Dir, Database: s.Database},
		"messaging", "user", "create", "--admin", "--username", "root", "--database", "{env.DATABASE}", "--bcrypt-cost", "4")
	require.NoError(t, err)
	cmd.Stdin = strings.NewReader(frontdoor.Password + "\n")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return at
}

// person is somebody at one of the APIs. All have the same password.
type person struct {
	*frontdoor.Client
	t    *testing.T
	at   *five
	name string
	id   int64
	uuid string // at messenger
	// shows is the header by which the server knows them.
	shows []string
	// enter, for register and signIn, are how one does that at their API.
	enter, join func(*person)
}

func (at *five) person(port, name string) *person {
	return &person{Client: frontdoor.NewClient(at.t, at.sites[port]), t: at.t, at: at, name: name}
}

func (at *five) v1(name string) *person {
	p := at.person("12000", name)
	credentials := frontdoor.JSON(at.t, map[string]string{"username": name, "password": frontdoor.Password})
	p.join = func(p *person) { p.post("/v1/auth/register", credentials).Want(http.StatusOK) }
	p.enter = func(p *person) { p.post("/v1/auth/login", credentials).Want(http.StatusOK) }
	return p
}

func (at *five) simpleChats(name string) *person {
	p := at.person("12001", name)
	p.shows = []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+frontdoor.Password))}
	p.join = func(p *person) {
		p.post("/api/register", frontdoor.JSON(at.t, map[string]string{
			"email": name + "@example.com", "username": name, "name": strings.ToUpper(name), "password": frontdoor.Password,
		})).Want(http.StatusCreated)
	}
	p.enter = func(p *person) { p.get("/api/token").Want(http.StatusOK) }
	return p
}

// messenger has no sign-in of its own: a token comes from v1.
func (at *five) messenger(name string) *person {
	p := at.person("12002", name)
	p.join = func(p *person) {
		made := p.post("/users/", frontdoor.JSON(at.t, map[string]string{
			"name": name, "email": name + "@example.com", "password": frontdoor.Password,
		})).Want(http.StatusOK)
		p.uuid = made.Field("id").(string)
	}
	p.enter = func(p *person) {
		token := at.person("12000", name).post("/v1/auth/token", frontdoor.JSON(at.t, map[string]string{
			"username": name, "password": frontdoor.Password,
		})).Want(http.StatusOK)
		p.shows = []string{"Authorization", "Bearer " + token.Field("access_token").(string)}
	}
	return p
}

func (at *five) groupChat(name string) *person {
	p := at.person("12003", name)
	p.enter = func(p *person) {
		key := p.post("/api/login", frontdoor.JSON(at.t, map[string]string{
			"username": name, "password": frontdoor.Password,
		})).Want(http.StatusOK)
		p.shows = []string{"X-API-Key", key.Field("api_key").(string)}
	}
	return p
}

func (at *five) knox(name string) *person {
	p := at.person("12004", name)
	credentials := frontdoor.JSON(at.t, map[string]string{"username": name, "password": frontdoor.Password})
	p.join = func(p *person) { p.post("/api/auth/register", credentials).Want(http.StatusCreated) }
	p.enter = func(p *person) {
		p.shows = nil // a token that is not good any more is refused here, too
		token := p.post("/api/auth/login", credentials).Want(http.StatusOK)
		p.shows = []string{"Authorization", "Token " + token.Field("token").(string)}
	}
	return p
}

// register makes their account, and signs in.
func (p *person) register() *person {
	p.t.Helper()
	p.join(p)
	return p.signIn()
}

// addedBy has an administrator of group_chat make the account.
func (p *person) addedBy(admin *person) *person {
	p.t.Helper()
	admin.signIn().post("/api/users", frontdoor.JSON(p.t, map[string]string{
		"username": p.name, "password": frontdoor.Password,
	})).Want(http.StatusCreated)
	return p.signIn()
}

func (p *person) signIn() *person {
	p.t.Helper()
	p.enter(p)
	// The ids are the same at all APIs; v1 tells them.
	v1 := p.at.person("12000", p.name)
	v1.post("/v1/auth/login", frontdoor.JSON(p.t, map[string]string{"username": p.name, "password": frontdoor.Password})).Want(http.StatusOK)
	p.id = int64(v1.get("/v1/me").Want(http.StatusOK).Field("id").(float64))
	v1.post("/v1/auth/logout", "").Want(http.StatusOK)
	return p
}

// answer is what an API has answered.
type answer struct {
	*frontdoor.Response
	t *testing.T
}

func (p *person) ask(method, path, body string) answer {
	p.t.Helper()
	return answer{p.Do(method, path, body, p.shows...), p.t}
}

func (p *person) get(path string) answer         { p.t.Helper(); return p.ask("GET", path, "") }
func (p *person) post(path, body string) answer  { p.t.Helper(); return p.ask("POST", path, body) }
func (p *person) put(path, body string) answer   { p.t.Helper(); return p.ask("PUT", path, body) }
func (p *person) patch(path, body string) answer { p.t.Helper(); return p.ask("PATCH", path, body) }
func (p *person) delete(path string) answer      { p.t.Helper(); return p.ask("DELETE", path, "") }

// list is a list of objects: the answer itself, or a field of it.
func (a answer) list(field string) (objects []map[string]any) {
	a.t.Helper()
	a.Want(http.StatusOK)
	text := json.RawMessage(a.Text)
	if field != "" {
		var object map[string]json.RawMessage
		a.Decode(&object)
		text = object[field]
	}
	require.NoError(a.t, json.Unmarshal(text, &objects), "%s: %s", field, a.Text)
	return objects
}

// each is what the objects of a list have in a field.
func (a answer) each(list, field string) []string {
	a.t.Helper()
	return each(a.list(list), field)
}

func each(objects []map[string]any, field string) (values []string) {
	for _, object := range objects {
		values = append(values, fmt.Sprint(object[field]))
	}
	return values
}

// id is a number as it stands in a path.
func id(number any) string {
	if n, ok := number.(float64); ok {
		return fmt.Sprint(int64(n))
	}
	return fmt.Sprint(number)
}

// openChat makes a chat at simple_chats.
func (p *person) openChat(with *person) int64 {
	p.t.Helper()
	made := p.post("/api/chats", fmt.Sprintf(`{"companion_id":%d}`, with.id)).Want(http.StatusCreated)
	return int64(made.Field("chat_id").(float64))
}

// conversation is a chat as messenger shows it.
type conversation struct {
	id, name, kind string
	people         []string
}

// conversation is their nth chat, the first being 1.
func (p *person) conversation(nth int) conversation {
	p.t.Helper()
	var chats []struct {
		ID, Name, Type string
		ParticipantIDs []string `json:"participantIds"`
	}
	p.get("/chats/?user_id=" + p.uuid).Want(http.StatusOK).Decode(&chats)
	require.GreaterOrEqual(p.t, len(chats), nth)
	c := chats[nth-1]
	return conversation{c.ID, c.Name, c.Type, c.ParticipantIDs}
}

func (p *person) history(c conversation) answer {
	p.t.Helper()
	return p.get("/messages/history/" + c.id)
}

// other is the one of two who is not this one.
func (c conversation) other(than *person) string {
	for _, uuid := range c.people {
		if uuid != than.uuid {
			return uuid
		}
	}
	return ""
}

// listener is a WebSocket of messenger.
type listener struct {
	*frontdoor.Socket
	t *testing.T
}

func (p *person) listen(c conversation) *listener {
	p.t.Helper()
	return &listener{p.Socket("/messages/ws/"+c.id+"/"+p.uuid, p.shows...), p.t}
}

func (l *listener) send(text string) {
	l.t.Helper()
	l.Send(frontdoor.JSON(l.t, map[string]any{"event": "message", "data": map[string]string{"text": text}}))
}

func (l *listener) read(messageID any) {
	l.t.Helper()
	l.Send(frontdoor.JSON(l.t, map[string]any{"event": "read", "data": map[string]any{"message_id": messageID}}))
}

// next is the next frame of text: a message, or an error.
func (l *listener) next() (frame map[string]any) {
	l.t.Helper()
	text, err := l.await()
	require.NoError(l.t, err)
	require.NoError(l.t, json.Unmarshal(text, &frame), "%s", text)
	return frame
}

// hears waits for a message with a text. What was said just before it listened may come
// first.
func (l *listener) hears(text string) (message map[string]any) {
	l.t.Helper()
	for message["text"] != text {
		message = l.next()
	}
	return message
}

// await reads the next frame of text, and answers pings before it.
func (l *listener) await() ([]byte, error) {
	for {
		first, payload, err := l.ReadFrame()
		switch {
		case err != nil:
			return nil, err
		case first == frontdoor.Final|frontdoor.OpPing:
			l.SendBytes(frontdoor.Masked(frontdoor.Final|frontdoor.OpPong, payload))
		case first == frontdoor.Final|frontdoor.OpClose:
			return nil, fmt.Errorf("closed: %q", payload)
		case first == frontdoor.Final|frontdoor.OpText:
			return payload, nil
		}
	}
}

// ended waits for the end of it.
func (l *listener) ended() {
	l.t.Helper()
	for {
		if _, err := l.await(); err != nil {
			require.NotErrorIs(l.t, err, os.ErrDeadlineExceeded, "it goes on")
			return
		}
	}
}
