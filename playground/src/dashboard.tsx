// The dashboard.
import "./style.css";

import { render } from "preact";

import { Dialogs } from "./view/dialogs";
import { Header } from "./view/header";

function Dashboard() {
  return (
    <>
      <Header page="dashboard" />
      <Dialogs />
    </>
  );
}

render(<Dashboard />, document.getElementById("page")!);
