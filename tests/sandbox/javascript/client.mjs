// A business on whatsapp-api-js: `node client.mjs GRAPH PHONE_NUMBER_ID TOKEN SECRET VERIFY_TOKEN NUMBER`.
// Serves its webhook with the library's own middleware and does, once, what the library's users do. Prints JSON lines:
// {"url"} where the webhook is, {"heard"} what its handlers got, {"did", "answer"} what Graph answered, {"done"}.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { WhatsAppAPI } from "whatsapp-api-js/middleware/node-http";
import {
  ActionButtons, ActionList, Body, BodyComponent, BodyParameter, Button, Contacts, Document, Image,
  Interactive, Language, ListSection, Location, Name, PayloadComponent, Phone, Reaction, Row, Template, Text,
} from "whatsapp-api-js/messages";

const [graph, phoneID, token, appSecret, webhookVerifyToken, number] = process.argv.slice(2);
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

// The library knows one address of Graph; its documented `ponyfill` is where another one goes in.
const toTheSandbox = (url, options) => fetch(String(url).replace("https://graph.facebook.com", graph), options);
const api = new WhatsAppAPI({ token, appSecret, webhookVerifyToken, v: "v26.0", ponyfill: { fetch: toTheSandbox } });
let reply = null;
api.on.message = ({ from, contact, message, reply: answer, received }) => {
  reply ??= { answer, received, id: message.id };
  print({ heard: "message", from, contact, message });
};
api.on.status = ({ contact, status, id, pricing, error, biz_opaque_callback_data: tag }) =>
  print({ heard: "status", contact, status, id, pricing, error, tag });

const server = createServer(async (request, response) => {
  if (request.method === "POST") {
    response.writeHead(await api.handle_post(request)).end();
    return;
  }
  try {
    response.writeHead(200).end(api.handle_get(request));
  } catch (status) {
    response.writeHead(status).end();
  }
});

async function did(name, promise) {
  const answer = await promise;
  print({ did: name, answer });
  return answer;
}

async function everything() {
  await did("reply", reply.answer(new Text("Hi Ana"), true, "job:1"));
  await did("read", reply.received());
  await did("typing", reply.received("text"));
  const send = (name, message, to = number) => did(name, api.sendMessage(phoneID, { phone: to }, message));
  await send("text", new Text("Look: https://example.com", true));
  await send("reaction", new Reaction(reply.id, "👍"));
  await send("location", new Location(77.6, 12.9, "Shop", "Main street"));
  await send("contacts", new Contacts([new Name("Ben Lee", "Ben"), new Phone("+919000000000")]));
  await send("buttons", new Interactive(new ActionButtons(new Button("y", "Yes"), new Button("n", "No")), new Body("Well?")));
  const rows = new ListSection("All", new Row("c", "Cakes", "sweet"), new Row("p", "Pies"));
  await send("list", new Interactive(new ActionList("Open", rows), new Body("What?")));
  await send("hello_world", new Template("hello_world", new Language("en_US")));
  await send("invitation", new Template("invitation", new Language("en_US"), new BodyComponent(new BodyParameter("Ana"))));
  const solved = new BodyComponent(new BodyParameter("Ana"));
  const yes = new PayloadComponent("solved"), no = new PayloadComponent("unsolved");
  await send("quick replies", new Template("sample_issue_resolution", new Language("en_US"), solved, yes, no));
  await send("unknown template", new Template("nobody_knows_it", new Language("en_US")));
  await send("too long", new Image("1", true, "x".repeat(1025)));
  await did("bsuid", api.sendMessage(phoneID, { bsuid: "IN.123456789012345" }, new Template("hello_world", new Language("en_US"))));

  const form = new FormData();
  form.set("file", new Blob(["%PDF-1.4"], { type: "application/pdf" }), "menu.pdf");
  const { id } = await did("upload", api.uploadMedia(phoneID, form));
  await send("document", new Document(id, true, "Our menu", "menu.pdf"));
  const { url } = await did("look up", api.retrieveMedia(id, phoneID));
  const file = await api.fetchMedia(url);
  print({ did: "download", answer: { status: file.status, text: await file.text() } });
  await did("delete", api.deleteMedia(id, phoneID));
  await did("gone", api.retrieveMedia(id));

  const { code } = await did("make code", api.createQR(phoneID, "Hi"));
  await did("change code", api.updateQR(phoneID, code, "Hello"));
  await did("codes", api.retrieveQR(phoneID));
  await did("delete code", api.deleteQR(phoneID, code));
  await did("block", api.blockUser(phoneID, number));
  await send("blocked", new Text("Hi"));
  await did("unblock", api.unblockUser(phoneID, number));
}

server.listen(0, "127.0.0.1", () => print({ url: `http://127.0.0.1:${server.address().port}/webhook` }));
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "go") await everything().then(() => print({ done: true }), (error) => print({ done: false, error: String(error.stack) }));
}
server.close();
server.closeAllConnections();
