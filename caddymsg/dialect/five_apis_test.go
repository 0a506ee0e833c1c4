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
		at := startFive(t, engine)

		// Each of them comes by another door. At group_chat, an administrator has to let
		// them in; she was made beside the server.
		vera := at.v1("vera").register()
		sam := at.simpleChats("sam").register()
		mona := at.messenger("mona").register()
		gus := at.groupChat("gus").addedBy(at.groupChat("root"))
		ken := at.knox("ken").register()
		everybody := []string{"root", "vera", "sam", "mona", "gus", "ken"}

		t.Run("everybody is known everywhere", func(t *testing.T) {
			require.ElementsMatch(t, everybody, vera.get("/v1/users").names("", "username"))
			require.ElementsMatch(t, everybody, sam.get("/api/users").names("data", "username"))
			require.ElementsMatch(t, everybody, gus.get("/api/users").names("", "username"))
			// And with the same password: nobody has to register twice.
			at.v1("ken").signIn()
			at.simpleChats("gus").get("/api/token").Want(http.StatusOK)
			at.messenger("sam").signIn()
			at.groupChat("vera").signIn()
			at.knox("mona").signIn()
			// But a name that somebody has is taken for all.
			at.knox("gus").post("/api/auth/register", `{"username":"Vera","password":"another one"}`).Want(http.StatusBadRequest)
		})

		kenAtV1 := at.v1("ken").signIn()

		// simple_chats and knox: two people.
		samAndKen := ""
		t.Run("sam writes to ken", func(t *testing.T) {
			samAndKen = fmt.Sprintf("/api/chats/%d/messages", sam.openChat(ken))
			sam.post(samAndKen, `{"texts":["hello ken","are you ther?","forget it"]}`).Want(http.StatusCreated)
			require.Equal(t, []string{"hello ken", "are you ther?", "forget it"}, ken.get("/api/message/received").texts("results", "content"))
			require.Equal(t, []string{"sam", "sam", "sam"}, ken.get("/api/message/received").names("results", "sender"))
		})
		t.Run("ken answers", func(t *testing.T) {
			ken.post("/api/message", `{"receiver":"sam","content":"hello sam"}`).Want(http.StatusCreated)
			require.Equal(t, []string{"hello ken", "are you ther?", "forget it", "hello sam"}, sam.get(samAndKen).texts("data", "text"))
			require.Equal(t, []string{"hello ken", "are you ther?", "forget it", "hello sam"}, kenAtV1.get("/v1/messages").texts("", "text"))
			require.Empty(t, vera.get("/v1/messages").texts("", "text"), "it is between the two")
		})
		t.Run("sam mends a word, and takes another back", func(t *testing.T) {
			messages := sam.get(samAndKen).list("data")
			sam.put(samAndKen+"/"+id(messages[1]["message_id"]), `{"text":"are you there?"}`).Want(http.StatusOK)
			sam.delete(samAndKen + "/" + id(messages[2]["message_id"])).Want(http.StatusOK)
			require.Equal(t, []string{"hello ken", "are you there?"}, ken.get("/api/message/received").texts("results", "content"))
			// Only v1 has a place for what is left of a message.
			atV1 := kenAtV1.get("/v1/messages").list("")
			require.Equal(t, "are you there?", atV1[1]["text"])
			require.Contains(t, atV1[1], "edited_at")
			require.Equal(t, "", atV1[2]["text"])
			require.Contains(t, atV1[2], "deleted_at")
		})
		t.Run("ken mends his at v1", func(t *testing.T) {
			mine := kenAtV1.get("/v1/messages").list("")[3]
			kenAtV1.patch("/v1/messages/"+id(mine["id"]), `{"text":"hello, sam"}`).Want(http.StatusOK)
			require.Equal(t, []string{"hello ken", "are you there?", "hello, sam"}, sam.get(samAndKen).texts("data", "text"))
			require.Equal(t, []string{"hello, sam"}, ken.get("/api/message/sent?receiver=sam").texts("results", "content"))
		})

		// v1 and messenger: live.
		veraHears := vera.Socket("/v1/ws")
		veraHears.Await("hello")
		var monaAndVera conversation
		t.Run("vera writes to mona", func(t *testing.T) {
			vera.post("/v1/messages", `{"dest_username":"mona","message":"hi mona"}`).Want(http.StatusOK)
			veraHears.Await("message.created")
			monaAndVera = mona.conversationWith(1)
			require.Equal(t, "personal", monaAndVera.kind)
			require.Contains(t, monaAndVera.people, mona.uuid)
			require.Equal(t, []string{"hi mona"}, mona.get(monaAndVera.history()).texts("", "text"))
		})
		monaHears := mona.listen(monaAndVera)
		t.Run("mona answers over her WebSocket, and both hear of it", func(t *testing.T) {
			monaHears.send("hi vera")
			require.Equal(t, "hi vera", monaHears.next()["text"], "her own copy is what acknowledges it")
			require.Equal(t, "hi vera", veraHears.Await("message.created").Field("text"))
		})
		t.Run("mona hears vera", func(t *testing.T) {
			vera.post("/v1/messages", `{"dest_username":"mona","message":"how are yu?"}`).Want(http.StatusOK)
			veraHears.Await("message.created")
			heard := monaHears.next()
			require.Equal(t, "how are yu?", heard["text"])
			require.Equal(t, monaAndVera.other(mona), heard["sender_id"])
			require.Equal(t, false, heard["read"])
		})
		t.Run("vera mends it", func(t *testing.T) {
			last := vera.get("/v1/messages").list("")[2]
			vera.patch("/v1/messages/"+id(last["id"]), `{"text":"how are you?"}`).Want(http.StatusOK)
			require.Equal(t, "how are you?", monaHears.next()["text"])
		})
		t.Run("mona reads it", func(t *testing.T) {
			history := mona.get(monaAndVera.history()).list("")
			require.Equal(t, "how are you?", history[2]["text"])
			monaHears.read(history[2]["id"])
			told := monaHears.next()
			require.Equal(t, history[2]["id"], told["id"])
			require.Equal(t, true, told["read"])
			require.Equal(t, float64(mona.id), veraHears.Await("chat.read").Field("user_id"))
			last := vera.get("/v1/messages").list("")[2]
			require.Equal(t, []any{"mona"}, vera.get("/v1/messages/" + id(last["id"])).Field("read_by"))
		})
		t.Run("vera reads what mona says", func(t *testing.T) {
			monaHears.send("fine")
			require.Equal(t, false, monaHears.next()["read"])
			vera.post("/v1/chats/"+id(veraHears.Await("message.created").ChatID)+"/read", "").Want(http.StatusOK)
			told := monaHears.next()
			require.Equal(t, "fine", told["text"])
			require.Equal(t, true, told["read"])
			for _, message := range mona.get(monaAndVera.history()).list("") {
				require.Equal(t, true, message["read"], message["text"])
			}
		})
		t.Run("vera takes one back", func(t *testing.T) {
			first := vera.get("/v1/messages").list("")[0]
			vera.delete("/v1/messages/" + id(first["id"])).Want(http.StatusOK)
			require.Equal(t, []string{"hi vera", "how are you?", "fine"}, mona.get(monaAndVera.history()).texts("", "text"))
		})
		t.Run("mona hears sam and ken, who know no WebSocket", func(t *testing.T) {
			samAndMona := fmt.Sprintf("/api/chats/%d/messages", sam.openChat(mona))
			fromSam := mona.listen(mona.conversationWith(2))
			sam.post(samAndMona, `{"texts":"over here"}`).Want(http.StatusCreated)
			require.Equal(t, "over here", fromSam.next()["text"])
			fromSam.send("I see you")
			require.Equal(t, "I see you", fromSam.next()["text"])
			require.Equal(t, []string{"over here", "I see you"}, sam.get(samAndMona).texts("data", "text"))

			ken.post("/api/message", `{"receiver":"mona","content":"and me?"}`).Want(http.StatusCreated)
			fromKen := mona.listen(mona.conversationWith(3))
			ken.post("/api/message", `{"receiver":"mona","content":"hello?"}`).Want(http.StatusCreated)
			require.Equal(t, "hello?", fromKen.next()["text"])
			fromKen.send("you too")
			require.Equal(t, "you too", fromKen.next()["text"])
			require.Equal(t, []string{"you too"}, ken.get("/api/message/received?sender=mona").texts("results", "content"))
		})

		// A group: group_chat, v1 and messenger have them, simple_chats and knox do not.
		weekend := ""
		var monaInGroup *listener
		t.Run("gus makes a group", func(t *testing.T) {
			weekend = "/api/groups/" + id(gus.post("/api/groups", `{"name":"Weekend"}`).Want(http.StatusCreated).Field("id"))
			for _, name := range []string{"vera", "sam", "mona", "ken"} {
				gus.post(weekend+"/members", frontdoor.JSON(t, map[string]string{"username": name})).Want(http.StatusCreated)
			}
			require.Equal(t, []string{"Weekend"}, vera.get("/v1/group_chat").texts("", "title"))
			group := mona.conversationWith(4)
			require.Equal(t, "group", group.kind)
			require.Equal(t, "Weekend", group.name)
			require.Len(t, group.people, 5)
			require.Equal(t, mona.uuid, group.people[3], "they stand in the order in which they joined")
			monaInGroup = mona.listen(group)
		})
		t.Run("three APIs talk in it", func(t *testing.T) {
			gus.post(weekend+"/messages", `{"text":"where to?"}`).Want(http.StatusCreated)
			require.Equal(t, "where to?", monaInGroup.next()["text"])
			require.Equal(t, "where to?", veraHears.Await("message.created").Field("text"))

			vera.post("/v1/messages", `{"group_chat_id":`+strings.TrimPrefix(weekend, "/api/groups/")+`,"message":"to the sea"}`).Want(http.StatusOK)
			require.Equal(t, "to the sea", monaInGroup.next()["text"])
			veraHears.Await("message.created")

			monaInGroup.send("I bring cake")
			require.Equal(t, "I bring cake", monaInGroup.next()["text"])
			require.Equal(t, "I bring cake", veraHears.Await("message.created").Field("text"))
			require.Equal(t, []string{"I bring cake", "to the sea", "where to?"}, gus.get(weekend+"/messages").texts("messages", "text"))
		})
		t.Run("they like what is said", func(t *testing.T) {
			said := gus.get(weekend + "/messages").list("messages")
			cake, where := id(said[0]["id"]), id(said[2]["id"])
			gus.put(weekend+"/messages/"+cake+"/like", "").Want(http.StatusOK)
			require.Equal(t, "👍", veraHears.Await("reaction.added").Field("emoji"))
			require.JSONEq(t, `[{"emoji":"👍","count":1,"me":false}]`, frontdoor.JSON(t, vera.get("/v1/messages/"+cake).Field("reactions")))

			vera.put("/v1/messages/"+cake+"/reactions/like", "").Want(http.StatusOK)
			vera.put("/v1/messages/"+where+"/reactions/like", "").Want(http.StatusOK)
			said = gus.get(weekend + "/messages").list("messages")
			require.Equal(t, []any{float64(gus.id), float64(vera.id)}, said[0]["likes"])
			require.Equal(t, []any{float64(vera.id)}, said[2]["likes"])
		})
		t.Run("an edit and a deletion reach them", func(t *testing.T) {
			sea := id(gus.get(weekend + "/messages").list("messages")[1]["id"])
			vera.patch("/v1/messages/"+sea, `{"text":"to the lake"}`).Want(http.StatusOK)
			require.Equal(t, "to the lake", monaInGroup.next()["text"])
			require.Equal(t, []string{"I bring cake", "to the lake", "where to?"}, gus.get(weekend+"/messages").texts("messages", "text"))
			vera.delete("/v1/messages/" + sea).Want(http.StatusOK)
			require.Equal(t, []string{"I bring cake", "where to?"}, gus.get(weekend+"/messages").texts("messages", "text"))
			require.Equal(t, []string{"where to?", "I bring cake"}, mona.get(mona.conversationWith(4).history()).texts("", "text"))
		})
		t.Run("who knows chats of two alone sees nothing of it", func(t *testing.T) {
			require.Len(t, sam.get("/api/chats").list("data"), 2, "with ken and mona")
			sam.get(strings.Replace(weekend, "groups", "chats", 1) + "/messages").Want(http.StatusNotFound)
			require.NotContains(t, ken.get("/api/message").texts("results", "content"), "where to?")
			require.Contains(t, kenAtV1.get("/v1/messages").texts("", "text"), "where to?", "though he is in it")
			require.Equal(t, []string{"Weekend"}, gus.get("/api/groups").list2("groups"), "nor does group_chat of chats of two")
		})

		// Blocks are one's own, whichever API one has them from.
		t.Run("ken blocks sam", func(t *testing.T) {
			ken.post("/api/block", `{"blocked":"sam"}`).Want(http.StatusCreated)
			require.Equal(t, []string{"sam"}, kenAtV1.get("/v1/blocks").names("", "username"))
			sam.post(samAndKen, `{"texts":["please"]}`).Want(http.StatusForbidden)
			at.v1("sam").signIn().post("/v1/messages", `{"dest_username":"ken","message":"please"}`).Want(http.StatusForbidden)
			at.knox("sam").signIn().post("/api/message", `{"receiver":"ken","content":"please"}`).Want(http.StatusForbidden)
			require.NotContains(t, ken.get("/api/message/received").texts("results", "content"), "please")

			kenAtV1.delete("/v1/blocks/sam").Want(http.StatusOK)
			require.Empty(t, ken.get("/api/block").list("results"))
			sam.post(samAndKen, `{"texts":["thank you"]}`).Want(http.StatusCreated)
			require.Contains(t, ken.get("/api/message/received").texts("results", "content"), "thank you")
		})
		t.Run("vera blocks mona", func(t *testing.T) {
			vera.put("/v1/blocks/mona", "").Want(http.StatusOK)
			monaHears.send("why?")
			require.Contains(t, monaHears.next(), "error", "only she is told")
			vera.delete("/v1/blocks/mona").Want(http.StatusOK)
			monaHears.send("there you are")
			require.Equal(t, "there you are", monaHears.next()["text"])
			require.Equal(t, "there you are", veraHears.Await("message.created").Field("text"))
		})

		// Sign-ins are one list.
		t.Run("ken ends what he has signed in at knox", func(t *testing.T) {
			require.Equal(t, http.StatusOK, ken.get("/api/message").StatusCode)
			for _, session := range kenAtV1.get("/v1/me/sessions?kind=token").list("") {
				kenAtV1.delete("/v1/me/sessions/" + id(session["id"])).Want(http.StatusOK)
			}
			ken.get("/api/message").Want(http.StatusUnauthorized)
			kenAtV1.get("/v1/me").Want(http.StatusOK)
			ken.signIn()
			ken.get("/api/message").Want(http.StatusOK)
		})
		t.Run("mona is signed out, and her WebSockets end", func(t *testing.T) {
			at.v1("mona").signIn().delete("/v1/me/sessions?others=true").Want(http.StatusOK)
			monaHears.ended()
			monaInGroup.ended()
			mona.get("/chats/?user_id=" + mona.uuid).Want(http.StatusUnauthorized)
			mona.signIn()
		})

		// What ends.
		t.Run("sam deletes his chat with ken", func(t *testing.T) {
			sam.delete(strings.TrimSuffix(samAndKen, "/messages")).Want(http.StatusOK)
			require.Empty(t, ken.get("/api/message/sent?receiver=sam").list("results"))
			require.Empty(t, ken.get("/api/message/received?sender=sam").list("results"))
			require.NotContains(t, kenAtV1.get("/v1/messages").texts("", "text"), "hello ken")
		})
		t.Run("gus is deleted by the administrator", func(t *testing.T) {
			at.groupChat("root").signIn().delete("/api/users/" + id(gus.id)).Want(http.StatusOK)
			gus.get("/api/groups").Want(http.StatusUnauthorized)
			require.NotContains(t, sam.get("/api/users").names("data", "username"), "gus")
			// What he has said stays, and nothing tells who he was.
			veraAtGroupChat := at.groupChat("vera").signIn()
			said := veraAtGroupChat.get(weekend + "/messages").list("messages")
			require.Equal(t, "where to?", said[1]["text"])
			require.Equal(t, float64(gus.id), said[1]["user_id"])
			require.Equal(t, []string{"where to?", "I bring cake"}, mona.get(mona.conversationWith(4).history()).texts("", "text"))
			require.NotContains(t, vera.get("/v1/messages").Text, `"gus"`)
		})
	})
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
		require.Contains(t, caddyfile, "http://localhost:"+port+" {\n")
		caddyfile = strings.Replace(caddyfile, "http://localhost:"+port+" {\n", "http://127.0.0.1:"+with+" {\n", 1)
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
type answer struct{ *frontdoor.Response }

func (p *person) ask(method, path, body string) answer {
	p.t.Helper()
	return answer{p.Do(method, path, body, p.shows...)}
}

func (p *person) get(path string) answer         { p.t.Helper(); return p.ask("GET", path, "") }
func (p *person) post(path, body string) answer  { p.t.Helper(); return p.ask("POST", path, body) }
func (p *person) put(path, body string) answer   { p.t.Helper(); return p.ask("PUT", path, body) }
func (p *person) patch(path, body string) answer { p.t.Helper(); return p.ask("PATCH", path, body) }
func (p *person) delete(path string) answer      { p.t.Helper(); return p.ask("DELETE", path, "") }

// list is a list of objects: the answer itself, or a field of it.
func (a answer) list(field string) (objects []map[string]any) {
	a.Want(http.StatusOK)
	if field == "" {
		a.Decode(&objects)
		return objects
	}
	var object map[string]json.RawMessage
	a.Decode(&object)
	if err := json.Unmarshal(object[field], &objects); err != nil {
		panic(fmt.Sprintf("%s: %v: %s", field, err, a.Text))
	}
	return objects
}

// list2 is a list of texts.
func (a answer) list2(field string) (texts []string) {
	var object map[string][]string
	a.Want(http.StatusOK).Decode(&object)
	return object[field]
}

// texts are what the objects of a list have in a field.
func (a answer) texts(field, of string) (texts []string) {
	for _, object := range a.list(field) {
		texts = append(texts, fmt.Sprint(object[of]))
	}
	return texts
}

func (a answer) names(field, of string) []string { return a.texts(field, of) }

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

// conversationWith is the nth chat of theirs, the first being 1, of so many.
func (p *person) conversationWith(nth int) (c conversation) {
	p.t.Helper()
	var chats []struct {
		ID, Name, Type string
		ParticipantIDs []string `json:"participantIds"`
	}
	p.get("/chats/?user_id=" + p.uuid).Want(http.StatusOK).Decode(&chats)
	require.GreaterOrEqual(p.t, len(chats), nth)
	chat := chats[nth-1]
	return conversation{chat.ID, chat.Name, chat.Type, chat.ParticipantIDs}
}

func (c conversation) history() string { return "/messages/history/" + c.id }

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

// next is the next frame: a message, or an error.
func (l *listener) next() (frame map[string]any) {
	l.t.Helper()
	require.NoError(l.t, json.Unmarshal([]byte(l.Next().Text), &frame))
	return frame
}

// ended waits for the end of it.
func (l *listener) ended() {
	l.t.Helper()
	for {
		if _, err := l.TryNext(); err != nil {
			require.NotErrorIs(l.t, err, os.ErrDeadlineExceeded, "it goes on")
			return
		}
	}
}
