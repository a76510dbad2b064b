import { chromium } from 'playwright-core';
import { mkdirSync } from 'node:fs';
const B=process.env.B??'http://127.0.0.1:4306'; const out=process.env.O??'/tmp/h6/shots'; mkdirSync(out,{recursive:true});
const br=await chromium.launch({executablePath:'/usr/bin/chromium',args:['--no-sandbox']});
const list=JSON.parse(process.argv[2]); // [name,path,width,scheme,full,reduced]
for(const [name,path,width=1440,scheme='light',full=true] of list){
  const c=await br.newContext({viewport:{width,height:width<500?780:900},colorScheme:scheme});
  const p=await c.newPage(); p.on('pageerror',e=>console.log(name,'ERR',e.message)); p.on('console',m=>m.type()==='error'&&console.log(name,m.text()));
  await p.goto(B+path,{waitUntil:'load'}); await p.waitForTimeout(2500);
  await p.screenshot({path:`${out}/${name}.png`,fullPage:full}); await c.close();
}
await br.close();
