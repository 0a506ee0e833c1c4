package pgtest
import ("testing";"fmt";"time";"github.com/stretchr/testify/require")
func TestMeasure(t *testing.T){
 s,err:=shared(); require.NoError(t,err)
 address:=fmt.Sprintf("postgres://postgres:%s@%s/postgres?sslmode=disable", s.password, s.HostPort())
 for range 3 {
 t0:=time.Now(); c:=open(t,address); require.NoError(t,c.Ping()); t.Log("connect",time.Since(t0))}
 db:=open(t,address); db.Ping()
 for i,o:=range []string{"TEMPLATE template0","TEMPLATE template0 STRATEGY FILE_COPY","TEMPLATE template0","TEMPLATE template0 STRATEGY FILE_COPY"} {
  t0:=time.Now(); exec1(t,db,fmt.Sprintf("CREATE DATABASE d%d %s",i,o)); t.Log(o,time.Since(t0))
  c:=open(t,fmt.Sprintf("postgres://postgres:%s@%s/d%d?sslmode=disable", s.password, s.HostPort(),i))
  t0=time.Now(); c.Ping(); t.Log(" first connect", time.Since(t0)); exec1(t,c,"create table a(b int primary key)"); c.Close()
 }
 for i:=range 4 { t0:=time.Now(); exec1(t,db,fmt.Sprintf("DROP DATABASE d%d WITH (FORCE)",i)); t.Log("drop",time.Since(t0)) }
}
